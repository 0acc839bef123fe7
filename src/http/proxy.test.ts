import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {proxyFor} from './proxy.ts'

const proxy = {HTTP_PROXY: 'http://plain:3128', HTTPS_PROXY: 'http://user:word@secure:3128'}
const host = (url: string, environment: Record<string, string>) => proxyFor(new URL(url), environment)?.host

describe('a proxy', () => {
  test('is chosen by the scheme of the URL; the lower-case variable wins', () => {
    assert.equal(host('http://a.example/', proxy), 'plain:3128')
    assert.equal(host('https://a.example/', proxy), 'secure:3128')
    assert.equal(host('https://a.example/', {...proxy, https_proxy: 'other:1'}), 'other:1')
    assert.equal(host('https://a.example/', {HTTP_PROXY: 'http://plain:3128'}), undefined)
  })

  for (const url of [
    'http://localhost:5000/',
    'http://127.8.9.1/',
    'http://[::1]:80/',
    'http://localhost./',
    'http://[::ffff:127.0.0.1]/',
  ]) {
    test(`is never asked for ${url}`, () => assert.equal(host(url, proxy), undefined))
  }

  const exclusions: readonly (readonly [string, string, boolean])[] = [
    ['example.com', 'http://example.com/', true],
    ['example.com', 'http://www.example.com/', true],
    ['example.com', 'http://badexample.com/', false],
    ['.example.com', 'http://example.com/', false],
    ['.example.com', 'http://www.example.com/', true],
    ['*.example.com', 'http://www.example.com/', true],
    ['EXAMPLE.com', 'http://example.com/', true],
    ['a, b  c', 'http://b/', true],
    ['example.com:8080', 'http://example.com:8080/', true],
    ['example.com:8080', 'http://example.com/', false],
    ['example.com:443', 'https://example.com/', true],
    ['10.0.0.0/8', 'http://10.1.2.3/', true],
    ['10.0.0.0/8', 'http://11.1.2.3/', false],
    ['10.0.0.0/8', 'http://ten.example/', false],
    ['192.168.1.1', 'http://192.168.1.1/', true],
    ['168.1.1', 'http://192.168.1.1/', false],
    ['2001:db8::/32', 'http://[2001:db8::1]/', true],
    ['2001:db8::1', 'http://[2001:db8::1]/', true],
    ['[2001:db8::1]:80', 'http://[2001:db8::1]/', true],
    ['10.0.0.0/99', 'http://10.0.0.1/', false],
    ['*', 'http://any.example/', true],
    ['', 'http://any.example/', false],
  ]
  for (const [list, url, excluded] of exclusions) {
    test(`is ${excluded ? 'not ' : ''}asked for ${url} with NO_PROXY=${list}`, () => {
      assert.equal(host(url, {...proxy, NO_PROXY: list}) === undefined, excluded)
    })
  }

  test('of another kind is refused without showing its password', () => {
    assert.throws(
      () => proxyFor(new URL('http://x.example/'), {HTTP_PROXY: 'socks5://u:secret@h:1'}),
      (error: Error) => {
        assert.equal((error as {code?: string}).code, 'RKT_HTTP_PROXY')
        return !error.message.includes('secret')
      },
    )
  })
})

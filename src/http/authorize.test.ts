import assert from 'node:assert/strict'
import {test} from 'node:test'
import {authorizeBy, type HostCredentials} from './authorize.ts'

const entries = new Map<string, HostCredentials>([
  ['h.example', {credentials: {password: 'p:w', user: 'u'}, type: 'basic'}],
  ['h.example:5000', {credentials: {token: 'T'}, type: 'oauth'}],
  ['s3.amazonaws.com', {credentials: {accessKeyID: 'A', awsRegion: '', secretAccessKey: 'S'}, type: 'aws'}],
])
const of = (url: string, options = {}) => authorizeBy(entries, options)({headers: {}, method: 'GET', url: new URL(url)}).Authorization

test('credentials go to exactly the host that they are for, and over https only', () => {
  assert.equal(of('https://h.example/x'), `Basic ${Buffer.from('u:p:w').toString('base64')}`)
  assert.equal(of('https://h.example:5000/x'), 'Bearer T')
  assert.match(of('https://s3.amazonaws.com/b/x') ?? '', /^AWS4-HMAC-SHA256 Credential=A\/\d{8}\/us-east-1\/s3\/aws4_request, /)
  for (const url of ['https://www.h.example/', 'https://h.example:5001/', 'http://h.example/', 'https://example/'])
    assert.equal(of(url), undefined)
})

test('discovery sends basic and oauth over http too, and signs nothing', () => {
  const options = {aws: false, plainHttp: true}
  assert.match(of('http://h.example/', options) ?? '', /^Basic /)
  assert.equal(of('https://s3.amazonaws.com/b', options), undefined)
})

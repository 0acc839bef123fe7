import assert from 'node:assert/strict'
import {test} from 'node:test'
import {silent} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import type {HttpClient, HttpResponse} from '../http/index.ts'
import {baseUrl} from './scheme.ts'

type Answers = Readonly<Partial<Record<'http' | 'https', number | RktError>>>

/** A registry's two ports: a status, or why there is none. */
async function baseOf(host: string, answers: Answers, insecureHttp: boolean): Promise<{asked: string[]; base: string}> {
  const asked: string[] = []
  const request = async (url: URL) => {
    asked.push(url.protocol)
    const answer = answers[url.protocol === 'https:' ? 'https' : 'http'] ?? refused
    if (answer instanceof RktError) throw answer
    return {discard() {}, status: answer} as HttpResponse
  }
  const http = {request} as Pick<HttpClient, 'request'> as HttpClient
  return {asked, base: (await baseUrl(http, {diagnostics: silent, host, insecureHttp})).href}
}

const refused = new RktError('RKT_HTTP_UNREACHABLE', 'connection refused')
const untrusted = new RktError('RKT_HTTP_CERTIFICATE', 'not trusted')
const noTls = new RktError('RKT_HTTP_TLS', 'no TLS')

test('a registry is asked over https, without trying', async () => {
  assert.deepEqual(await baseOf('r.example', {}, false), {asked: [], base: 'https://r.example/v2/'})
})

test('plain http is used where https fails, if it was allowed or the registry is this machine', async () => {
  for (const https of [refused, noTls, 404] as const) {
    assert.equal((await baseOf('r.example:5000', {http: 200, https}, true)).base, 'http://r.example:5000/v2/')
    assert.equal((await baseOf('localhost:5000', {http: 401, https}, false)).base, 'http://localhost:5000/v2/')
  }
})

test('https stays where it works', async () => {
  for (const status of [200, 401]) {
    assert.deepEqual(await baseOf('[::1]:5000', {http: 200, https: status}, true), {asked: ['https:'], base: 'https://[::1]:5000/v2/'})
  }
})

test('a certificate that is not trusted is passed over only where plain http was allowed', async () => {
  await assert.rejects(baseOf('localhost', {http: 200, https: untrusted}, false), untrusted)
  assert.equal((await baseOf('localhost', {http: 200, https: untrusted}, true)).base, 'http://localhost/v2/')
})

test('where neither answers, the failure is that of https', async () => {
  await assert.rejects(baseOf('r.example', {https: noTls}, true), noTls)
  await assert.rejects(baseOf('r.example', {http: 404, https: noTls}, true), {
    code: 'RKT_REGISTRY_NONE',
    message: 'r.example is no registry',
  })
  assert.equal((await baseOf('r.example', {http: 404, https: 503}, true)).base, 'https://r.example/v2/')
})

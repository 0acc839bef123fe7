import assert from 'node:assert/strict'
import {once} from 'node:events'
import {copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import {connect, createServer as createTcpServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, describe, test} from 'node:test'
import {gzipSync} from 'node:zlib'
import {makeCertificates} from '../../test/registry/harness.ts'
import {cutAfter, scriptedServer} from '../../test/registry/scripted-server.ts'
import {causeChain} from '../errors.ts'
import {type HttpOptions, openHttp} from './index.ts'

const directory = mkdtempSync(join(tmpdir(), 'rkt-http-'))
after(() => rmSync(directory, {recursive: true}))
const certificates = makeCertificates(join(directory, 'ca'))
const retry = {attempts: 3, baseMs: 1, capMs: 2000}
const client = (options: Partial<HttpOptions> = {}) => openHttp({environment: {}, retry, ...options})
const trusting = {SSL_CERT_FILE: certificates.caFile}
const limit = 1000

async function failure(promise: Promise<unknown>): Promise<{code: string; text: string; hint: string | undefined}> {
  try {
    await promise
  } catch (error) {
    const {code, hint} = error as {code: string; hint: string | undefined}
    return {code, hint, text: causeChain(error).join(': ')}
  }
  throw new assert.AssertionError({message: 'it did not fail'})
}

describe('redirects', () => {
  test('are followed, and the final URL is known', async () => {
    await using server = await scriptedServer(({path}, response) =>
      path === '/end' ? response.end('there') : response.writeHead(307, {Location: '/end#x'}).end('no'),
    )
    using http = client()

    const {bytes, requested, status, url} = await http.read(server.url('/start'), {limit})

    assert.deepEqual([String(bytes), status, url.pathname, requested.pathname], ['there', 200, '/end', '/start'])
  })

  test('in a circle are refused', async () => {
    await using server = await scriptedServer(({path}, response) => response.writeHead(302, {Location: path === '/a' ? '/b' : '/a'}).end())
    using http = client()
    const {code, text} = await failure(http.read(server.url('/a'), {limit}))
    assert.equal(code, 'RKT_HTTP_REDIRECT')
    assert.match(text, /leads in a circle/)
    assert.equal(server.seen.length, 2)
  })

  test('without end are refused after ten', async () => {
    await using server = await scriptedServer((_, response, count) => response.writeHead(302, {Location: `/${count}`}).end())
    using http = client()
    assert.match((await failure(http.read(server.url('/start'), {limit}))).text, /: too many redirects$/)
    assert.equal(server.seen.length, 11)
  })

  test('to what is no web page are refused', async () => {
    await using server = await scriptedServer((_, response) => response.writeHead(302, {Location: 'file:///etc/shadow'}).end())
    using http = client()
    assert.equal((await failure(http.read(server.url('/'), {limit}))).code, 'RKT_HTTP_REDIRECT')
  })

  test('take no credentials to another origin, and none back', async () => {
    await using other = await scriptedServer(({path}, response) => response.writeHead(302, {Location: `${home.origin}/end${path}`}).end())
    await using home = await scriptedServer(({path}, response) => {
      if (path.startsWith('/end')) response.end('x')
      else response.writeHead(302, {Location: path === '/start' ? '/again' : `http://evil:word@${other.host}/there`}).end()
    })
    using http = client()
    const asked: string[] = []

    await http.read(new URL(`http://me:word@${home.host}/start`), {
      authorize: ({url}) => {
        asked.push(url.pathname)
        return {'X-Amz-Date': 'now'}
      },
      headers: {Accept: 'a/b', Cookie: 'c=1'},
      limit,
    })

    const [start, again, end] = home.seen
    for (const request of [start, again]) {
      assert.deepEqual(
        [request?.headers.authorization, request?.headers.cookie, request?.headers['x-amz-date']],
        [`Basic ${Buffer.from('me:word').toString('base64')}`, 'c=1', 'now'],
      )
    }
    for (const request of [other.seen[0], end]) {
      assert.deepEqual(
        [request?.headers.authorization, request?.headers.cookie, request?.headers['x-amz-date']],
        [undefined, undefined, undefined],
      )
      assert.equal(request?.headers.accept, 'a/b')
    }
    assert.deepEqual(asked, ['/start', '/again'])
  })

  test('from https to http are refused unless allowed, and take no credentials along', async () => {
    await using plain = await scriptedServer((_, response) => response.end('x'))
    await using secure = await scriptedServer((_, response) => response.writeHead(302, {Location: plain.origin}).end(), certificates)
    using http = client({environment: trusting})
    const headers = {Authorization: 'Bearer T'}
    assert.equal((await failure(http.read(secure.url('/'), {headers, limit}))).code, 'RKT_HTTP_REDIRECT')
    assert.equal(plain.seen.length, 0)
    await http.read(secure.url('/'), {allowDowngrade: true, headers, limit})
    assert.equal(plain.seen[0]?.headers.authorization, undefined)
  })

  test('of a POST are not followed', async () => {
    await using server = await scriptedServer((_, response) => response.writeHead(307, {Location: '/x'}).end())
    using http = client()
    assert.equal((await http.read(server.url('/'), {body: 'password', limit, method: 'POST'})).status, 307)
    assert.equal(server.seen.length, 1)
  })
})

describe('another attempt', () => {
  for (const status of [429, 500, 502, 503, 504]) {
    test(`follows ${status}`, async () => {
      await using server = await scriptedServer((_, response, count) => response.writeHead(count < 2 ? status : 200).end('x'))
      using http = client()
      assert.equal((await http.read(server.url('/'), {limit})).status, 200)
      assert.equal(server.seen.length, 3)
    })
  }

  for (const status of [400, 401, 403, 404, 416, 501]) {
    test(`does not follow ${status}`, async () => {
      await using server = await scriptedServer((_, response) => response.writeHead(status).end('x'))
      using http = client()
      assert.equal((await http.read(server.url('/'), {limit})).status, status)
      assert.equal(server.seen.length, 1)
    })
  }

  test('ends with the last answer', async () => {
    await using server = await scriptedServer((_, response) => response.writeHead(503).end('down'))
    using http = client()
    const {bytes, status} = await http.read(server.url('/'), {limit})
    assert.deepEqual([status, String(bytes), server.seen.length], [503, 'down', 3])
  })

  test('waits for as long as Retry-After says, and is not made when that is too long', async () => {
    await using server = await scriptedServer((_, response, count) => {
      const after = count === 0 ? '1' : '3600'
      response.writeHead(503, {'Retry-After': after}).end()
    })
    using http = client()
    const start = Date.now()
    assert.equal((await http.read(server.url('/'), {limit})).status, 503)
    assert.ok(Date.now() - start >= 990)
    assert.equal(server.seen.length, 2)
  })

  test('follows a connection that breaks before and within the answer', async () => {
    await using server = await scriptedServer((_, response, count) => {
      if (count === 0) response.destroy()
      else if (count === 1) cutAfter(response, Buffer.from('whole'), 2)
      else response.end('whole')
    })
    using http = client()
    assert.equal(String((await http.read(server.url('/'), {limit})).bytes), 'whole')
  })

  test('is not made where nothing listens', async () => {
    const server = await scriptedServer(() => {})
    await server[Symbol.asyncDispose]()
    const lines: string[] = []
    using http = client({debug: (line) => lines.push(line)})
    const {code, text} = await failure(http.read(server.url('/x?token=abc'), {limit}))
    assert.equal(code, 'RKT_HTTP_UNREACHABLE')
    assert.equal(text, `cannot reach ${server.origin}/x?token=***: connect ${server.host}: connection refused`)
    assert.deepEqual(lines, [])
  })
})

describe('a document', () => {
  test('that is announced too large is not read', async () => {
    await using server = await scriptedServer((_, response) => response.end(Buffer.alloc(1001)))
    using http = client()
    assert.equal((await failure(http.read(server.url('/'), {limit}))).code, 'RKT_HTTP_TOO_LARGE')
  })

  test('without end is given up', async () => {
    await using server = await scriptedServer((_, response) => {
      const more = () => response.destroyed || response.write(Buffer.alloc(100), () => setImmediate(more))
      more()
    })
    using http = client()
    assert.equal((await failure(http.read(server.url('/'), {limit}))).code, 'RKT_HTTP_TOO_LARGE')
  })

  test('is compressed only when asked for, and a bomb is given up', async () => {
    await using server = await scriptedServer(({headers, path}, response) => {
      const body = path === '/bomb' ? Buffer.alloc(10_000_000) : Buffer.from('text')
      const gzip = headers['accept-encoding'] === 'gzip'
      response.writeHead(200, gzip ? {'Content-Encoding': 'gzip'} : {}).end(gzip ? gzipSync(body) : body)
    })
    using http = client()
    assert.equal(String((await http.read(server.url('/'), {gzip: true, limit})).bytes), 'text')
    assert.equal(String((await http.read(server.url('/'), {limit})).bytes), 'text')
    assert.equal(server.seen[1]?.headers['accept-encoding'], undefined)
    assert.equal((await failure(http.read(server.url('/bomb'), {gzip: true, limit: 100_000}))).code, 'RKT_HTTP_TOO_LARGE')
  })

  test('from a server that falls silent is given up', async () => {
    await using server = await scriptedServer((_, response) => void response.write('a'))
    using http = client({idleTimeoutMs: 100})
    const {code, text} = await failure(http.read(server.url('/'), {limit}))
    assert.equal(code, 'RKT_HTTP_TIMEOUT')
    assert.match(text, /sent nothing for 0\.1 seconds$/)
  })

  test('from a server that speaks something else is refused', async () => {
    const server = createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const {port} = server.address() as {port: number}
    using http = client()
    assert.equal((await failure(http.read(new URL(`http://127.0.0.1:${port}/`), {limit}))).code, 'RKT_HTTP_PROTOCOL')
    server.close()
  })

  test('is not asked for with a header that would hold another one, and the message does not show it', async () => {
    await using server = await scriptedServer((_, response) => response.end())
    using http = client()
    const {code, text} = await failure(http.read(server.url('/'), {headers: {Authorization: 'Bearer s3cret\r\nX-Evil: 1'}, limit}))
    assert.equal(code, 'RKT_HTTP_PROTOCOL')
    assert.doesNotMatch(text, /s3cret/)
    assert.equal(server.seen.length, 0)
  })

  test('can be given up', async () => {
    await using server = await scriptedServer(() => {})
    using http = client()
    const signal = AbortSignal.timeout(50)
    await assert.rejects(http.read(server.url('/'), {limit, signal}), {name: 'TimeoutError'})
  })
})

test('connections are kept for the next request', async () => {
  const ports = new Set<unknown>()
  await using server = await scriptedServer((_, response) => {
    ports.add(response.socket?.remotePort)
    response.end('x')
  })
  using http = client()
  for (let count = 0; count < 3; count++) await http.read(server.url('/'), {limit})
  assert.equal(ports.size, 1)
})

describe('a certificate', () => {
  test('of an unknown authority is refused, saying what can be done', async () => {
    await using server = await scriptedServer((_, response) => response.end('x'), certificates)
    using http = client()
    const {code, hint, text} = await failure(http.read(server.url('/'), {limit}))
    assert.equal(code, 'RKT_HTTP_CERTIFICATE')
    assert.match(text, new RegExp(`^the certificate of ${server.host} is not trusted: `))
    assert.match(hint ?? '', /SSL_CERT_FILE.*--insecure-options=tls/)
    assert.equal(server.seen.length, 0)
  })

  const folder = join(directory, 'trusted')
  test('is believed by SSL_CERT_FILE, SSL_CERT_DIR, NODE_EXTRA_CA_CERTS, or unseen with the option tls', async () => {
    mkdirSync(folder)
    writeFileSync(join(folder, 'any-name'), `Some words\n${certificates.cert}`)
    copyFileSync(certificates.caFile, join(folder, 'ca.pem'))
    await using server = await scriptedServer((_, response) => response.end('x'), certificates)
    const ways: readonly Partial<HttpOptions>[] = [
      {environment: trusting},
      {environment: {SSL_CERT_DIR: `/nowhere:${folder}`}},
      {environment: {NODE_EXTRA_CA_CERTS: certificates.caFile}},
      {insecureTls: true},
    ]
    for (const way of ways) {
      using http = client(way)
      assert.equal((await http.read(server.url('/'), {limit})).status, 200)
    }
  })

  test('file that the caller named and that is not there is an error', async () => {
    using http = client({environment: {SSL_CERT_FILE: '/nowhere.pem'}})
    const {text} = await failure(http.read(new URL('https://127.0.0.1:1/'), {limit}))
    assert.equal(text, 'cannot read the certificates of SSL_CERT_FILE: open /nowhere.pem: no such file or directory')
  })

  test('is not shown by a server without TLS', async () => {
    await using server = await scriptedServer((_, response) => response.end('x'))
    using http = client()
    const {code, text} = await failure(http.read(new URL(`https://${server.host}/`), {limit}))
    assert.equal(code, 'RKT_HTTP_TLS')
    assert.match(text, /the server does not speak TLS$/)
  })
})

describe('a proxy', () => {
  test('gets requests over http as they are, with its own credentials', async () => {
    await using proxy = await scriptedServer((_, response) => response.end('through'))
    using http = client({environment: {http_proxy: `http://me:word@${proxy.host}`}})

    assert.equal(String((await http.read(new URL('http://images.example/x'), {limit})).bytes), 'through')

    assert.equal(proxy.seen[0]?.path, 'http://images.example/x')
    assert.equal(proxy.seen[0]?.headers['proxy-authorization'], `Basic ${Buffer.from('me:word').toString('base64')}`)
  })

  test('tunnels https, and sees nothing of it; certificates count', async () => {
    await using server = await scriptedServer((_, response) => response.end('tunnelled'), certificates)
    const asked: string[] = []
    await using proxy = await tunnel(server.host, asked)
    const environment = {HTTPS_PROXY: `http://${proxy.host}`, ...trusting}
    using http = client({environment})
    const url = new URL(`https://localhost.example:${server.host.split(':')[1]}/`)

    const {code} = await failure(http.read(url, {limit})) // the certificate is for localhost
    assert.equal(code, 'RKT_HTTP_CERTIFICATE')
    using careless = client({environment, insecureTls: true})
    assert.equal(String((await careless.read(url, {limit})).bytes), 'tunnelled')

    assert.deepEqual([...new Set(asked)], [url.host])
  })

  test('that refuses is named, without its password', async () => {
    await using proxy = await scriptedServer((_, response) => response.end())
    using http = client({environment: {HTTPS_PROXY: `http://me:s3cret@${proxy.host}`}})
    const {code, text} = await failure(http.read(new URL('https://images.example/'), {limit}))
    assert.equal(code, 'RKT_HTTP_UNREACHABLE')
    assert.doesNotMatch(text, /s3cret/)
  })
})

/** A proxy that leads every tunnel to one place. */
async function tunnel(target: string, asked: string[]): Promise<{host: string} & AsyncDisposable> {
  const server = createServer()
  server.on('connect', (request, client) => {
    asked.push(request.url ?? '')
    const [host, port] = target.split(':')
    const upstream = connect(Number(port), host ?? '', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.pipe(client).pipe(upstream)
    })
    for (const socket of [client, upstream]) socket.on('error', () => upstream.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
    host: `127.0.0.1:${(server.address() as {port: number}).port}`,
  }
}

/** Pages come from a web server with TLS and a certificate authority of its own, on loopback. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server} from 'node:http'
import {createServer as createHttpsServer} from 'node:https'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, beforeEach, describe, test} from 'node:test'
import {gzipSync} from 'node:zlib'
import {parseImageString} from '../appc/index.ts'
import type {Auth} from '../config/index.ts'
import {openHttp} from '../http/index.ts'
import {type DiscoveryPorts, discoverEndpoints, discoverKeyLocations} from './discover.ts'

let directory: string
let server: Server
let plainServer: Server
let lines: string[]
let requests: IncomingMessage[]
let pages: Map<string, RequestListener | string>

const openssl = (args: string[]) => execFileSync('openssl', args, {cwd: directory, stdio: 'pipe'})
const portOf = (listening: Server) => (listening.address() as AddressInfo).port
const listening = (made: Server) => new Promise<Server>((resolve) => made.listen(0, '127.0.0.1', () => resolve(made)))

const answer: RequestListener = (request, response) => {
  requests.push(request)
  const page = pages.get(request.url ?? '')
  if (typeof page === 'function') page(request, response)
  else response.writeHead(page === undefined ? 404 : 200).end(page)
}

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'rkt-discovery-'))
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl(['req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=test authority', '-days', '2'])
  openssl(['req', ...ec, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost'])
  writeFileSync(join(directory, 'ext'), 'subjectAltName=DNS:localhost')
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'ext', '-days', '2']
  openssl(['x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signing])
  const [cert, key] = ['server.pem', 'server.key'].map((name) => readFileSync(join(directory, name)))
  server = await listening(createHttpsServer({cert, key}, answer))
})

after(async () => {
  server.close()
  rmSync(directory, {recursive: true})
})

beforeEach(() => {
  lines = []
  requests = []
  pages = new Map()
})

interface Setting {
  readonly allowHttp?: boolean
  readonly auth?: ReadonlyMap<string, Auth>
  readonly port?: number
  readonly trusting?: boolean
}

/** Runs with ports of the server. */
async function asking<T>(
  ask: (ports: DiscoveryPorts) => Promise<T>,
  {allowHttp = false, auth = new Map(), port, trusting = true}: Setting = {},
) {
  using http = openHttp({environment: trusting ? {SSL_CERT_FILE: join(directory, 'ca.pem')} : {}})
  const say = (prefix: string, message: string) => lines.push(`${prefix}: ${message}`)
  return await ask({allowHttp, auth, diagnostics: {debug: say, note: say}, http, port: port ?? portOf(server)})
}

const endpoints = (image: string, setting?: Setting) => asking((ports) => discoverEndpoints(ports, parseImageString(image)), setting)
const keys = (name: string, setting?: Setting) => asking((ports) => discoverKeyLocations(ports, name), setting)
const failed = {code: 'RKT_DISCOVERY_FAILED', message: 'discovery failed'}
const discovery = (prefix: string, template = 'https://cdn.example.com/{name}-{version}.{ext}') =>
  `<meta name="ac-discovery" content="${prefix} ${template}">`

describe('discovery of an image', () => {
  test('gives archive and signature by the template of its own page', async () => {
    pages.set('/a/b?ac-discovery=1', discovery('localhost/a'))

    assert.deepEqual(await endpoints('localhost/a/b:1.2'), {
      items: [{archive: 'https://cdn.example.com/localhost/a/b-1.2.aci', signature: 'https://cdn.example.com/localhost/a/b-1.2.aci.asc'}],
      prefix: 'localhost/a/b',
    })
    assert.equal(requests.length, 1)
  })

  test('goes to the parents until a page serves, and says which could not be had', async () => {
    pages.set('/a?ac-discovery=1', '<p>no tags</p>')
    pages.set('/?ac-discovery=1', discovery('localhost'))

    assert.equal((await endpoints('localhost/a/b')).prefix, 'localhost')
    assert.deepEqual(lines, ["image: meta tag 'ac-discovery' not found on localhost/a/b: expected a 200 OK got 404"])
    assert.deepEqual(
      requests.map(({url}) => url),
      ['/a/b?ac-discovery=1', '/a?ac-discovery=1', '/?ac-discovery=1'],
    )
  })

  test('takes no tag for another prefix, and does not mix the pages of parents', async () => {
    pages.set('/a/b?ac-discovery=1', discovery('localhost/other') + discovery('evil.com'))
    pages.set(
      '/a?ac-discovery=1',
      discovery('localhost/a', 'https://first/{name}.{ext}') + discovery('localhost', 'https://second/{name}.{ext}'),
    )
    pages.set('/?ac-discovery=1', discovery('localhost', 'https://third/{name}.{ext}'))

    const {items} = await endpoints('localhost/a/b')
    assert.deepEqual(
      items.map(({archive}) => archive),
      ['https://first/localhost/a/b.aci', 'https://second/localhost/a/b.aci'],
    )
  })

  test('passes over a page whose templates want labels that nobody asked for', async () => {
    pages.set('/a?ac-discovery=1', discovery('localhost', 'https://first/{flavor}.{ext}'))
    pages.set('/?ac-discovery=1', discovery('localhost'))
    assert.equal((await endpoints('localhost/a')).prefix, 'localhost')
  })

  test('fails where no page serves', async () => {
    await assert.rejects(endpoints('localhost/a/b'), failed)
    assert.equal(requests.length, 3)
  })

  test('does not believe a server whose certificate nobody vouches for, nor ask it twice', async () => {
    pages.set('/?ac-discovery=1', discovery('localhost'))
    await assert.rejects(endpoints('localhost', {trusting: false}), failed)
    assert.match(lines[0] ?? '', /^image: meta tag 'ac-discovery' not found on localhost: .*certificate/)
  })

  test('fails, and says so, where a page is endless', async () => {
    pages.set('/?ac-discovery=1', (_, response) => {
      const send = () => response.write('<p>'.repeat(100_000), (error) => error ?? send())
      response.on('error', () => {})
      send()
    })
    await assert.rejects(endpoints('localhost'), failed)
    assert.match(lines[0] ?? '', /not found on localhost: /)
  })

  test('reads a page that the server compressed, and no bomb', async () => {
    const gzip =
      (text: string): RequestListener =>
      (_, response) =>
        response.writeHead(200, {'Content-Encoding': 'gzip'}).end(gzipSync(text))
    pages.set('/a?ac-discovery=1', gzip(' '.repeat(50_000_000) + discovery('localhost')))
    pages.set('/?ac-discovery=1', gzip(discovery('localhost')))
    assert.equal((await endpoints('localhost/a')).prefix, 'localhost')
  })

  test('follows redirects, but no loop of them', async () => {
    pages.set('/a?ac-discovery=1', (_, response) => response.writeHead(302, {Location: '/a?ac-discovery=1'}).end())
    pages.set('/?ac-discovery=1', (_, response) => response.writeHead(301, {Location: '/page'}).end())
    pages.set('/page', discovery('localhost'))
    assert.equal((await endpoints('localhost/a')).prefix, 'localhost')
    assert.match(lines[0] ?? '', /not found on localhost\/a: .*circle/)
  })
})

describe('plain http', () => {
  before(async () => {
    plainServer = await listening(createHttpServer(answer))
  })
  after(() => plainServer.close())

  beforeEach(() => {
    pages.set('/?ac-discovery=1', discovery('localhost'))
  })

  test('is asked only when it was allowed', async () => {
    const port = portOf(plainServer)
    await assert.rejects(endpoints('localhost', {port}), failed)
    assert.equal(requests.length, 0)
    assert.equal((await endpoints('localhost', {allowHttp: true, port})).prefix, 'localhost')
  })

  test('is not where a redirect leads from https, unless it was allowed', async () => {
    const target = `http://localhost:${portOf(plainServer)}/page`
    pages.set('/?ac-discovery=1', (_, response) => response.writeHead(302, {Location: target}).end())
    pages.set('/page', discovery('localhost'))
    await assert.rejects(endpoints('localhost'), failed)
    assert.equal((await endpoints('localhost', {allowHttp: true})).prefix, 'localhost')
  })
})

describe('credentials', () => {
  const basic: Auth = {credentials: {password: 'p', user: 'u'}, type: 'basic'}
  const header = 'Basic dTpw'

  test('go to exactly their host', async () => {
    pages.set('/?ac-discovery=1', discovery('localhost'))
    const port = portOf(server)
    await endpoints('localhost', {auth: new Map([[`localhost:${port}`, basic]])})
    await endpoints('localhost', {auth: new Map([['example.com', basic]])})
    assert.deepEqual(
      requests.map(({headers}) => headers.authorization),
      [header, undefined],
    )
  })

  test('of AWS sign no page', async () => {
    pages.set('/?ac-discovery=1', discovery('localhost'))
    const aws: Auth = {credentials: {accessKeyID: 'A', awsRegion: '', secretAccessKey: 'S'}, type: 'aws'}
    await endpoints('localhost', {auth: new Map([[`localhost:${portOf(server)}`, aws]])})
    assert.equal(requests[0]?.headers.authorization, undefined)
  })
})

describe('discovery of keys', () => {
  test('gives the URLs of the nearest page that has any, as they stand', async () => {
    pages.set('/a?ac-discovery=1', discovery('localhost'))
    const key = (url: string) => `<meta name="ac-discovery-pubkeys" content="localhost ${url}">`
    pages.set('/?ac-discovery=1', key('https://a/{name}.asc') + key('http://b/k.asc'))

    assert.deepEqual(await keys('localhost/a'), {items: ['https://a/{name}.asc', 'http://b/k.asc'], prefix: 'localhost'})
  })

  test('speaks as pubkey of pages that could not be had', async () => {
    await assert.rejects(keys('localhost'), failed)
    assert.deepEqual(lines, ["pubkey: meta tag 'ac-discovery-pubkeys' not found on localhost: expected a 200 OK got 404"])
  })
})

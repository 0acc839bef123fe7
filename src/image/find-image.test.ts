import assert from 'node:assert/strict'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {hostLabels} from '../appc/index.ts'
import {SECURE} from '../config/index.ts'
import {causeChain} from '../errors.ts'
import {openStore} from '../store/index.ts'
import {openTreestore} from '../treestore/index.ts'
import {findImage, type PullPolicy, writeAci} from './index.ts'

function aHost() {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-image-'))
  const cas = join(dir, 'cas')
  const store = openStore(cas)
  const lines: string[] = []
  const ports = {
    config: {auth: new Map()},
    diagnostics: {debug: (_: string, line: string) => lines.push(line), note: (_: string, line: string) => lines.push(line)},
    options: {localConfig: join(dir, 'local'), systemConfig: join(dir, 'system'), trustKeysFromHttps: false},
    store,
    treestore: openTreestore(cas, store),
  }
  const insecure = {...SECURE, image: true}
  return {
    async archive(name: string, extra: object = {}): Promise<string> {
      const path = join(dir, `${name}.aci`)
      mkdirSync(join(dir, name), {recursive: true})
      const manifest = {acKind: 'ImageManifest', acVersion: '0.8.11', labels: hostLabels(), name: `example.com/${name}`, ...extra}
      await writeAci(path, {compress: true, manifest: JSON.stringify(manifest), overwrite: true, rootfs: join(dir, name)})
      return path
    },
    cas,
    dir,
    find: (reference: string, pullPolicy: PullPolicy = 'new', more: Partial<Parameters<typeof findImage>[2]> = {}) =>
      findImage(ports, reference, {dependencies: true, insecure, pullPolicy, render: false, ...more}),
    lines,
    store,
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      rmSync(dir, {force: true, recursive: true})
    },
  }
}

async function aServer(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers['if-none-match'] ?? '-'}`)
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return {asked, [Symbol.dispose]: () => void server.close().closeAllConnections(), url: `http://127.0.0.1:${address.port}`}
}

test('a file is read again whatever the pull policy is, by path and by URL', async () => {
  using host = aHost()
  const path = await host.archive('app')
  const key = await host.find(path)
  for (const policy of ['never', 'new', 'update'] as const) {
    await host.store.remove(key)
    assert.equal(await host.find(policy === 'new' ? `file://${path}` : path, policy), key)
  }
  assert.deepEqual(new Set(host.lines), new Set([`using image from file ${path}`]))
})

test('stored images are found by name and by hash, and not asked for elsewhere', async () => {
  using host = aHost()
  const key = await host.find(await host.archive('app'))

  for (const policy of ['new', 'never'] as const) assert.equal(await host.find('example.com/app', policy), key)
  assert.equal(await host.find(key.slice(0, 20)), key)
  await assert.rejects(host.find('example.com/other', 'never'), {
    message: /^unable to fetch image from image name "example.com\/other": either/,
  })
  for (const reference of ['example.com/other', 'docker://busybox', 'oci:layout']) {
    await assert.rejects(host.find(reference), {code: 'RKT_TRANSPORT_UNSUPPORTED', hint: /\.aci/}, reference)
  }
  await assert.rejects(host.find('example.com/app', 'update'), {code: 'RKT_TRANSPORT_UNSUPPORTED'})
  await assert.rejects(
    host.find('sha512-00000'),
    (error) => causeChain(error).join(' > ') === 'could not resolve image "sha512-00000" > no image IDs found',
  )
})

test('the pull policy decides whether the server is asked, and an ETag whether it sends the image again', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('app'))
  using server = await aServer((request, response) => {
    if (request.headers['if-none-match'] === '"tag"') return void response.writeHead(304).end()
    response.writeHead(200, {'content-length': bytes.length, etag: '"tag"'}).end(bytes)
  })
  const url = `${server.url}/app.aci`
  await assert.rejects(host.find(url, 'never'), {message: new RegExp(`^unable to fetch image from URL "${url}": either`)})
  assert.deepEqual(server.asked, [])

  const key = await host.find(url, 'new')
  for (const policy of ['new', 'never'] as const) assert.equal(await host.find(url, policy), key)
  assert.deepEqual(server.asked, ['GET /app.aci -'])
  assert.equal(await host.find(url, 'update'), key)
  assert.deepEqual(server.asked, ['GET /app.aci -', 'GET /app.aci "tag"'])

  await host.store.remove(key)
  assert.equal(await host.find(url, 'update'), key)
  assert.equal(server.asked.at(-1), 'GET /app.aci -', 'with the image its record is forgotten')
})

test('an image that is fresh by max-age is not asked for, also with update', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('app'))
  using server = await aServer((_, response) => void response.writeHead(200, {'cache-control': 'public, max-age=60'}).end(bytes))

  const key = await host.find(`${server.url}/app.aci`, 'update')

  assert.equal(await host.find(`${server.url}/app.aci`, 'update'), key)
  assert.equal(server.asked.length, 1)
  assert.ok(host.lines.includes(`image for ${server.url}/app.aci isn't expired, not fetching.`))
})

test('redirects are followed, ten of them', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('app'))
  using server = await aServer((request, response) => {
    const left = Number(/\d+/.exec(request.url ?? '')?.[0] ?? 0)
    if (left > 0) response.writeHead(302, {location: `/${left - 1}.aci`}).end()
    else response.writeHead(200).end(bytes)
  })

  await host.find(`${server.url}/10.aci`)
  await assert.rejects(host.find(`${server.url}/11.aci`), {message: 'too many redirects'})
})

test('a download that fails names its URL and leaves nothing', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('app'))
  using server = await aServer((request, response) => {
    if (request.url === '/short.aci') {
      response.writeHead(200, {'content-length': bytes.length + 1}).write(bytes)
      setTimeout(() => response.destroy(), 50)
    } else if (request.url === '/page.aci') response.writeHead(200).end('<html>')
    else response.writeHead(404).end()
  })

  await assert.rejects(host.find(`${server.url}/gone.aci`), (error) => causeChain(error).at(-1) === 'bad HTTP status code: 404')
  await assert.rejects(host.find(`${server.url}/short.aci`), {message: `failed to download "${server.url}/short.aci"`})
  await assert.rejects(host.find(`${server.url}/page.aci`), {message: `cannot import ${server.url}/page.aci`})
  await assert.rejects(host.find('http://u:secret@127.0.0.1:1/x.aci'), (error) => !causeChain(error).join().includes('secret'))

  assert.deepEqual(readdirSync(join(host.cas, 'tmp')), [])
  assert.deepEqual(await host.store.list(), [])
})

test('without a signature an image is refused; with one that cannot be verified too', async () => {
  using host = aHost()
  const path = await host.archive('app')
  const chain = async (more: object = {}) =>
    causeChain(
      await host.find(path, 'new', {insecure: SECURE, ...more}).then(
        () => assert.fail('accepted'),
        (error: unknown) => error,
      ),
    )

  assert.deepEqual(await chain(), ['error opening signature file', `open ${path}.asc: no such file or directory`])
  assert.deepEqual((await chain({signature: '/nosuch.asc'}))[1], 'open /nosuch.asc: no such file or directory')
  writeFileSync(`${path}.asc`, 'a signature')
  await assert.rejects(host.find(path, 'new', {insecure: SECURE}), {code: 'RKT_SIGNATURE_UNVERIFIABLE', hint: /--insecure-options=image/})
  assert.deepEqual(await host.store.list(), [])
})

test('an image whose dependency is missing does not get into the store', async () => {
  using host = aHost()
  const needy = await host.archive('needy', {dependencies: [{imageName: 'example.com/base'}]})

  await assert.rejects(host.find(needy), (error) =>
    causeChain(error).includes('dependency "example.com/base" of image "example.com/needy" is not in the store'),
  )
  assert.deepEqual(await host.store.list(), [])
  await host.find(await host.archive('base'))
  await host.find(needy)
  assert.ok(host.lines.some((line) => line.startsWith('using image from local store for image name example.com/base')))
})

test('root renders what it fetches, where it can be overlaid', {skip: process.geteuid?.() === 0 ? false : 'needs root'}, async () => {
  using host = aHost()
  const treestore = openTreestore(host.cas, host.store)

  const key = await host.find(await host.archive('app'), 'new', {render: true})

  assert.equal(treestore.isRendered(treestore.idOf(key)), treestore.overlayProblem() === null)
  assert.ok(existsSync(host.store.blobPath(key)))
})

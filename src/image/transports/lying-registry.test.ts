import assert from 'node:assert/strict'
import {execFile} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {readdirSync} from 'node:fs'
import type {ServerResponse} from 'node:http'
import {join} from 'node:path'
import {describe, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {promisify} from 'node:util'
import {gzipSync} from 'node:zlib'
import {type ScriptedServer, scriptedServer} from '../../../test/registry/scripted-server.ts'
import {causeChain} from '../../errors.ts'
import {aLayer} from '../../store/oci-fixture.ts'
import {aHost, unverified} from '../fixture.ts'

const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const types = {
  config: 'application/vnd.oci.image.config.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
}

interface Parts {
  readonly layers: readonly {
    readonly blob: Buffer
    readonly diffId?: string
    readonly digest?: string
    readonly size?: number
    readonly type?: string
  }[]
  readonly os?: string
  /** What the registry sends for a blob, instead of it. */
  readonly sends?: ReadonlyMap<string, Buffer | 'cut' | 'stalls'>
  /** Told of an answer that does not go on. */
  readonly stalled?: (response: ServerResponse) => void
  readonly manifestType?: string
  readonly platform?: {architecture: string; os: string}
}

/** A registry with one image `app:latest`, made of such parts. */
async function aRegistry({
  layers,
  manifestType = types.manifest,
  os = 'linux',
  platform,
  sends = new Map(),
  stalled,
}: Parts): Promise<ScriptedServer> {
  const blobs = new Map<string, Buffer>()
  const keep = (bytes: Buffer) => {
    blobs.set(sha256(bytes), bytes)
    return {digest: sha256(bytes), size: bytes.length}
  }
  const diffIds = layers.map(({blob, diffId}) => diffId ?? sha256(gunzip(blob)))
  const descriptors = layers.map(({blob, digest, size, type}) => ({
    digest: digest ?? keep(blob).digest,
    mediaType: type ?? types.layer,
    size: size ?? blob.length,
  }))
  const config = keep(Buffer.from(JSON.stringify({architecture, config: {Cmd: ['/a']}, os, rootfs: {diff_ids: diffIds, type: 'layers'}})))
  const manifest = Buffer.from(
    JSON.stringify({config: {...config, mediaType: types.config}, layers: descriptors, mediaType: manifestType, schemaVersion: 2}),
  )
  const documents = new Map([[sha256(manifest), {bytes: manifest, type: manifestType}]])
  let top = documents.get(sha256(manifest))
  if (platform !== undefined) {
    const entry = {digest: sha256(manifest), mediaType: manifestType, platform, size: manifest.length}
    const index = Buffer.from(JSON.stringify({manifests: [entry], mediaType: types.index, schemaVersion: 2}))
    top = {bytes: index, type: types.index}
    documents.set(sha256(index), top)
  }
  return await scriptedServer(({path}, response) => {
    const [, kind, name = ''] = /^\/v2\/app\/(manifests|blobs)\/(.+)$/.exec(path) ?? []
    if (path === '/v2/') return void response.writeHead(200, {'Docker-Distribution-API-Version': 'registry/2.0'}).end('{}')
    const document = kind === 'manifests' ? (name === 'latest' ? top : documents.get(name)) : undefined
    if (document !== undefined) {
      const headers = {
        'Content-Length': document.bytes.length,
        'Content-Type': document.type,
        'Docker-Content-Digest': sha256(document.bytes),
      }
      return void response.writeHead(200, headers).end(document.bytes)
    }
    const sent = kind === 'blobs' ? (sends.get(name) ?? blobs.get(name)) : undefined
    if (sent === undefined) return void response.writeHead(404).end()
    if (sent !== 'cut' && sent !== 'stalls') return void response.writeHead(200, {'Content-Length': sent.length}).end(sent)
    const whole = blobs.get(name) ?? Buffer.alloc(0)
    response.writeHead(200, {'Content-Length': whole.length})
    if (sent === 'stalls') stalled?.(response)
    response.write(whole.subarray(0, 10), () => sent === 'cut' && response.destroy())
  })
}

function gunzip(bytes: Buffer): Buffer {
  return plain.get(bytes) ?? bytes
}
const plain = new Map<Buffer, Buffer>()
async function layer(name: string, content = name): Promise<Buffer> {
  const tar = await aLayer({[name]: content})
  const packed = gzipSync(tar)
  plain.set(packed, tar)
  return packed
}

const good = await layer('good')
const other = await layer('other')
const bomb = gzipSync(Buffer.alloc(300_000_000))
const zeros = `sha256:${'0'.repeat(64)}`

const lies: readonly (readonly [string, Parts, string, RegExp])[] = [
  [
    'another blob of the same length',
    {layers: [{blob: good}], sends: new Map([[sha256(good), Buffer.alloc(good.length)]])},
    'RKT_LAYER_',
    /layer sha256:/,
  ],
  ['more bytes than it announced', {layers: [{blob: good, size: good.length - 1}]}, 'RKT_HTTP_|RKT_REGISTRY_|RKT_LAYER_SIZE', /bytes/],
  ['fewer bytes than it announced', {layers: [{blob: good, size: good.length + 1}]}, 'RKT_HTTP_|RKT_REGISTRY_|RKT_LAYER_SIZE', /bytes/],
  ['a body that breaks off each time', {layers: [{blob: good}], sends: new Map([[sha256(good), 'cut']])}, 'RKT_HTTP_TRUNCATED', /10 of/],
  ['a layer that is not in the config', {layers: [{blob: good, diffId: zeros}]}, 'RKT_LAYER_DIFF_ID', /inflates to sha256:/],
  ['a layer for two', {layers: [{blob: good}, {blob: good, diffId: zeros}]}, 'RKT_LAYER_DIFF_ID', /cannot inflate to both/],
  ['a layer that is no tar', {layers: [{blob: Buffer.from('no tar'), diffId: sha256(Buffer.from('no tar'))}]}, 'RKT_', /./],
  ['a layer that is missing', {layers: [{blob: good}, {blob: other, digest: zeros}]}, 'RKT_IMAGE_NOT_FOUND', /0{64}/],
  ['a bomb', {layers: [{blob: bomb, diffId: zeros}]}, 'RKT_LAYER_', /layer sha256:/],
  ['petabytes', {layers: [{blob: good, size: 2 ** 52}]}, 'RKT_FETCH_TOO_LARGE', /no space left/],
  ['an encrypted layer', {layers: [{blob: good, type: `${types.layer}+encrypted`}]}, 'RKT_OCI_LAYER_TYPE', /encrypted/],
  ['a layer of another type', {layers: [{blob: good, type: 'text/plain'}]}, 'RKT_OCI_LAYER_TYPE', /"text\/plain"/],
  ['no layers', {layers: []}, 'RKT_OCI_NO_IMAGE', /no useful layers/],
  [
    'a manifest of another type',
    {layers: [{blob: good}], manifestType: 'application/json'},
    'RKT_OCI_DOCUMENT_INVALID',
    /"application\/json"/,
  ],
  ['an image for another system', {layers: [{blob: good}], os: 'plan9'}, 'RKT_NO_PLATFORM', /no image for linux/],
  [
    'an index without our platform',
    {layers: [{blob: good}], platform: {architecture: 'mips', os: 'linux'}},
    'RKT_NO_PLATFORM',
    /no image for linux/,
  ],
]

describe('a registry that gives', () => {
  for (const [what, parts, code, says] of lies) {
    test(`${what} is refused, leaves nothing, and the next fetch works`, async () => {
      using host = aHost()
      host.store.tmpDir()
      await using liar = await aRegistry(parts)
      await using honest = await aRegistry({layers: [{blob: good}, {blob: other}]})
      await assert.rejects(host.find(`docker://${liar.host}/app`, unverified), (error: Error & {code?: string}) => {
        const chain = causeChain(error).join(' > ')
        assert.match(`${error.code}`, new RegExp(code), chain)
        assert.match(chain, says)
        return true
      })
      assert.deepEqual(await host.images(), [])
      assert.deepEqual(host.tmp(), [])
      const blobs = readdirSync(join(host.cas, 'blob'), {recursive: true, withFileTypes: true}).filter((entry) => entry.isFile())
      assert.deepEqual(blobs, [])
      assert.ok(await host.find(`docker://${honest.host}/app`, unverified))
    })
  }
})

describe('a layer', () => {
  const big = randomBytes(4_000_000).toString('latin1')

  test('is transferred once for ten processes that fetch its image at the same time', async () => {
    using host = aHost()
    host.store.tmpDir()
    const blob = await layer('big', big)
    await using registry = await aRegistry({layers: [{blob}, {blob: good}, {blob}]})
    const words = [join(import.meta.dirname, '../fetch-once.fixture.ts'), host.cas, host.dir, `docker://${registry.host}/app`, 'unverified']

    const said = await Promise.all(Array.from({length: 10}, () => promisify(execFile)(process.execPath, words)))

    assert.equal(new Set(said.map(({stdout}) => JSON.parse(stdout).key)).size, 1)
    assert.equal((await host.images()).length, 1)
    assert.deepEqual(host.tmp(), [])
    for (const each of [blob, good]) assert.equal(registry.seen.filter(({path}) => path.endsWith(`/blobs/${sha256(each)}`)).length, 1)
  })

  test('of the store is not believed to inflate to something else', async () => {
    using host = aHost()
    await using honest = await aRegistry({layers: [{blob: good}]})
    await using liar = await aRegistry({layers: [{blob: good, diffId: zeros}]})
    await host.find(`docker://${honest.host}/app`, unverified)

    await assert.rejects(host.find(`docker://${liar.host}/app`, unverified), {code: 'RKT_LAYER_DIFF_ID'})

    assert.equal((await host.images()).length, 1)
  })

  test('that fails ends those that come beside it, and is what is said', async () => {
    using host = aHost()
    const slow = await layer('slow', big)
    let broken = false
    await using registry = await aRegistry({
      layers: [{blob: slow}, {blob: good}],
      sends: new Map<string, Buffer | 'stalls'>([
        [sha256(slow), 'stalls'],
        [sha256(good), Buffer.alloc(good.length)],
      ]),
      stalled: (response) => response.on('close', () => (broken = true)),
    })

    await assert.rejects(host.find(`docker://${registry.host}/app`, unverified), {
      code: 'RKT_LAYER_DIGEST',
      message: 'error getting the remote layer',
    })

    assert.deepEqual(await host.images(), [])
    assert.deepEqual(host.tmp(), [])
    await eventually(() => broken)
  })
})

async function eventually(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 100, 'the transfer was not given up')
    await sleep(20)
  }
}

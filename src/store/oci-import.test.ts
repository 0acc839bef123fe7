import assert from 'node:assert/strict'
import {fork} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {RktError} from '../errors.ts'
import {digestOf} from '../oci/index.ts'
import {aManifest, anArchive, aStore} from './fixture.ts'
import {type ImageKey, openStore} from './index.ts'
import {aLayer, documentsOf, importImage, type PackedLayer, packed, withFile} from './oci-fixture.ts'

const base = packed(await aLayer({bin: null, 'bin/sh': 'shell', 'etc/': null, 'etc/passwd': 'root'}))
const top = packed(await aLayer({etc: null, 'etc/.wh.passwd': '', 'etc/hosts': 'localhost'}))

const isCode = (code: string) => (error: unknown) => error instanceof RktError && error.code === code

/** Names of all blobs, by digest or key. */
function blobs(cas: string): string[] {
  return readdirSync(join(cas, 'blob'), {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort()
}

test('an image is stored as it came, and found by key, name and digest', async () => {
  using host = aStore()
  const {store} = host
  const documents = documentsOf([base, top])
  const key = await importImage(store, [base, top], documents)
  const manifestDigest = digestOf(documents.manifestBytes)
  const config = digestOf(documents.configBytes)
  assert.deepEqual(blobs(host.cas), [manifestDigest, config, base.digest, top.digest].map((digest) => digest.replace(':', '-')).sort())
  assert.deepEqual(readFileSync(store.contentPath(base.digest)), base.bytes)
  assert.equal(
    key,
    `sha512-${digestOf(documents.manifestBytes, `sha512:${'0'.repeat(128)}`).slice('sha512:'.length, 'sha512:'.length + 64)}`,
  )
  for (const id of [key, key.slice(0, 20), manifestDigest, manifestDigest.slice(0, 20)]) assert.equal(store.resolveKey(id), key)
  assert.equal(store.findByName('registry.example.com/app', []), key)
  assert.deepEqual(
    store.oci(key)?.layers.map((layer) => layer.diffId),
    [base.diffId, top.diffId],
  )
  assert.equal(store.info(key).size, documents.manifestBytes.length + documents.configBytes.length + base.bytes.length + top.bytes.length)
  assert.deepEqual(JSON.parse((await store.verifiedManifest(key)).toString()), JSON.parse(store.manifestBytes(key).toString()))
  assert.deepEqual(store.manifest(key).app?.exec, ['/bin/sh'])
  assert.equal((await store.list()).length, 1)
})

test('a layer that is not what was announced leaves nothing, and the next import works', async () => {
  using host = aStore()
  const wrong: readonly (readonly [string, Partial<PackedLayer> & {size?: number}])[] = [
    ['RKT_LAYER_DIGEST', {digest: top.digest}],
    ['RKT_LAYER_DIFF_ID', {diffId: top.diffId}],
    ['RKT_LAYER_SIZE', {size: base.bytes.length + 1}],
    ['RKT_LAYER_SIZE', {size: base.bytes.length - 1}],
  ]
  for (const [code, lie] of wrong) {
    await assert.rejects(async () => {
      await using session = await host.store.importOci()
      const writer = await session.layer(
        {digest: lie.digest ?? base.digest, size: lie.size ?? base.bytes.length},
        lie.diffId ?? base.diffId,
      )
      assert.ok(writer)
      await writer.write(base.bytes)
      await writer.finish()
    }, isCode(code))
    assert.equal(existsSync(join(host.cas, 'blob/sha256')) && blobs(host.cas).length > 0, false, code)
    assert.deepEqual(host.store.layers.list(), [])
  }
  assert.ok(host.store.has(await importImage(host.store, [base])))
})

test('an import that is given up leaves nothing', async () => {
  using host = aStore()
  {
    await using session = await host.store.importOci()
    const done = await session.layer({digest: base.digest, size: base.bytes.length}, base.diffId)
    await done?.write(base.bytes)
    await done?.finish()
    const writer = await session.layer({digest: top.digest, size: top.bytes.length}, top.diffId)
    await writer?.write(top.bytes.subarray(0, 10))
  }
  assert.deepEqual(blobs(host.cas), [])
  assert.deepEqual(await host.store.list(), [])
})

test('documents that do not fit each other or the layers refuse the import', async () => {
  using host = aStore()
  const good = documentsOf([base])
  const bad = async (code: string, change: object) =>
    await assert.rejects(importImage(host.store, [base], {...good, ...change}), isCode(code))
  await bad('RKT_IMAGE_HASH_MISMATCH', {configBytes: Buffer.from(good.configBytes.toString().replace('A=1', 'A=2'))})
  await bad('RKT_LAYER_MISSING', documentsOf([base, top]))
  const {configBytes, manifestBytes} = good
  const counts = Buffer.from(configBytes.toString().replace(/"diff_ids":\[[^\]]*\]/, '"diff_ids":[]'))
  const other = Buffer.from(manifestBytes.toString().replace(digestOf(configBytes), digestOf(counts)))
  await bad('RKT_OCI_DOCUMENT_INVALID', {
    configBytes: counts,
    identity: {...good.identity, manifestDigest: digestOf(other)},
    manifestBytes: other,
  })
  assert.deepEqual(await host.store.list(), [])
})

test('a layer of which only the DiffID is known gets its digest', async () => {
  using host = aStore()
  await using session = await host.store.importOci()
  const stored = await withFile(host.dir, base.bytes, async (fd) => await session.layerFrom(fd, {digest: null, size: null}, base.diffId))
  assert.deepEqual(stored, {diffId: base.diffId, digest: base.digest, size: base.bytes.length})
})

test('removal takes what no other image has, and only that', async () => {
  using host = aStore()
  const {store} = host
  const aci = await host.import(await anArchive(aManifest()))
  const one = await importImage(store, [base])
  const two = await importImage(store, [base, top], documentsOf([base, top], {}, 'other'))
  await store.remove(two)
  assert.ok(existsSync(store.contentPath(base.digest)))
  assert.ok(!existsSync(store.contentPath(top.digest)))
  await store.remove(one)
  assert.deepEqual(blobs(host.cas), [aci])
  assert.deepEqual(readdirSync(join(host.cas, 'digest')), [])
})

test('while an import counts on content no removal takes it; the next sweep does', async () => {
  using host = aStore()
  const {store} = host
  const one = await importImage(store, [base])
  {
    await using session = await store.importOci()
    assert.equal(await session.layer({digest: base.digest, size: base.bytes.length}, base.diffId), null, 'it is there')
    await store.remove(one)
    assert.ok(existsSync(store.contentPath(base.digest)))
    await session.commit({...documentsOf([base], {}, 'second'), latest: false, source: 'x'})
  }
  assert.ok(existsSync(store.contentPath(base.digest)))
  await store.sweep()
  assert.ok(existsSync(store.contentPath(base.digest)))
})

test('root believes no document that does not have its hash', async () => {
  using host = aStore()
  const {store} = host
  const key = await importImage(store, [base])
  const record = store.oci(key)
  assert.ok(record)
  const path = store.contentPath(record.manifest)
  const bytes = readFileSync(path)
  writeFileSync(path, Buffer.from(bytes.toString().replace('schemaVersion":2', 'schemaVersion": 2')))
  await assert.rejects(store.verifiedManifest(key), isCode('RKT_IMAGE_HASH_MISMATCH'))
  writeFileSync(path, bytes)
  const evil = documentsOf([top], {Cmd: ['/evil']})
  writeFileSync(store.contentPath(record.config), evil.configBytes)
  await assert.rejects(store.verifiedManifest(key), isCode('RKT_IMAGE_HASH_MISMATCH'))
  // A record that names another, sound manifest is not that image's either.
  const other = await importImage(store, [top], evil)
  const sidecar = join(host.cas, 'image', `${key}.json`)
  const text = JSON.parse(readFileSync(sidecar, 'utf8')) as Record<string, unknown>
  const theirs = JSON.parse(readFileSync(join(host.cas, 'image', `${other}.json`), 'utf8')) as Record<string, unknown>
  writeFileSync(sidecar, JSON.stringify({...text, oci: theirs.oci}))
  await assert.rejects(store.verifiedManifest(key), isCode('RKT_IMAGE_HASH_MISMATCH'))
})

const child = join(import.meta.dirname, 'oci-import-child.ts')

/** Starts a process that imports an image into a store. */
function importer(cas: string, dir: string) {
  return fork(child, [cas, dir], {stdio: 'ignore'})
}

async function bigImage(dir: string): Promise<PackedLayer[]> {
  const noise = (seed: number) => Buffer.from(Array.from({length: 60_000}, (_, at) => (at * seed * 7919) % 251)).toString('latin1')
  const layers = await Promise.all(
    [1, 2, 3].map(async (seed) =>
      packed(await aLayer(Object.fromEntries(Array.from({length: 20}, (_, at) => [`d${seed}/f${at}`, noise(seed + at)])))),
    ),
  )
  mkdirSync(dir, {recursive: true})
  for (const [at, {bytes, diffId, digest}] of layers.entries())
    writeFileSync(join(dir, `${at}.json`), JSON.stringify({bytes: bytes.toString('base64'), diffId, digest}))
  return layers
}

test('ten processes import one image at once: all succeed, it is stored once', {timeout: 120_000}, async () => {
  using host = aStore()
  const dir = join(host.dir, 'layers')
  const layers = await bigImage(dir)
  const children = Array.from({length: 10}, () => importer(host.cas, dir))
  const exits = await Promise.all(children.map(async (process) => (await once(process, 'exit'))[0] as number))
  assert.deepEqual(
    exits,
    Array.from({length: 10}, () => 0),
  )
  assert.equal((await host.store.list()).length, 1)
  assert.equal(blobs(host.cas).length, layers.length + 2)
  if (process.geteuid?.() === 0) assert.ok(layers.every(({diffId}) => host.store.layers.isRendered(diffId)))
  assert.deepEqual(readdirSync(join(host.cas, 'tmp')), [])
})

test('an import that is killed at any moment shows nothing, and the next one works', {timeout: 240_000}, async () => {
  using host = aStore()
  const dir = join(host.dir, 'layers')
  const layers = await bigImage(dir)
  const start = performance.now()
  await once(importer(host.cas, dir), 'exit')
  const whole = performance.now() - start
  for (let round = 0; round < 12; round++) {
    rmSync(host.cas, {force: true, recursive: true})
    const process = importer(host.cas, dir)
    await sleep(whole * (0.4 + 0.05 * round))
    process.kill('SIGKILL')
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
    using store = openStore(host.cas)
    for (const {key} of await store.list()) await assertWhole(store, key, layers)
    const key = await importImage(store, layers)
    await assertWhole(store, key, layers)
    await store.remove(key)
    await store.sweep()
    assert.deepEqual(blobs(host.cas), [])
  }
})

async function assertWhole(store: ReturnType<typeof openStore>, key: ImageKey, layers: readonly PackedLayer[]): Promise<void> {
  await store.verifiedManifest(key)
  for (const {bytes, digest} of layers) assert.deepEqual(readFileSync(store.contentPath(digest)), bytes)
}

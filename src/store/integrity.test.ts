import assert from 'node:assert/strict'
import {existsSync, readFileSync, utimesSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {gzipSync} from 'node:zlib'
import {aManifest, anArchive, aStore} from './fixture.ts'
import {aLayer, importImage, packed} from './oci-fixture.ts'
import {Scratch} from './scratch.ts'

/** Another byte in the middle, and the times as they were: what a failing disk or somebody who hides does. */
function damage(path: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  writeFileSync(path, bytes)
  utimesSync(path, 1, 1)
}

test('a changed blob is noticed, and an import of the same image mends it', async () => {
  using host = aStore()
  const {store} = host
  const archive = gzipSync(await anArchive(aManifest(), {file: 'content'}))
  const key = await host.import(archive)
  await store.verify(key)
  assert.equal(await store.isSound(key), true)

  damage(store.blobPath(key))

  assert.equal(await store.isSound(key), false)
  await assert.rejects(store.verify(key), {code: 'RKT_IMAGE_HASH_MISMATCH'})
  await host.import(archive)
  assert.equal(await store.isSound(key), true)
  await store.verify(key)
})

test('a file that was only touched is hashed, and is sound', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  utimesSync(host.store.blobPath(key), 1, 1)
  const stamps = () => JSON.stringify(JSON.parse(readFileSync(join(host.cas, 'image', `${key}.json`), 'utf8')).stamps)
  const before = stamps()
  assert.equal(await host.store.isSound(key), true)
  assert.notEqual(stamps(), before, 'and need not be hashed again')
})

test('a blob that is gone is no sound one', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  writeFileSync(join(host.cas, 'image', `${key}.json`), '{')
  assert.equal(await host.store.isSound(key), false, 'nor is an image whose record is damaged')
})

test('damaged content of an OCI image is taken away, and the next import brings it', async () => {
  using host = aStore()
  const {store} = host
  const layers = [packed(await aLayer({bin: null, 'bin/sh': 'shell'})), packed(await aLayer({etc: null, 'etc/motd': 'hello'}))]
  const key = await importImage(store, layers)
  assert.equal(await store.isSound(key), true)
  const [sound, damaged] = layers.map(({digest}) => store.contentPath(digest)) as [string, string]

  damage(damaged)

  assert.equal(await store.isSound(key), false)
  assert.deepEqual([existsSync(sound), existsSync(damaged)], [true, false])
  await importImage(store, layers)
  assert.equal(await store.isSound(key), true)
  await store.verify(key)
})

test('what somebody works on is no temporary that is left over', async () => {
  using host = aStore()
  await host.import(await anArchive(aManifest()))
  const scratch = Scratch.make(host.store.tmpDir(), 'work')
  await host.store.sweep()
  assert.ok(existsSync(scratch.path))
  await scratch[Symbol.asyncDispose]()
  assert.ok(!existsSync(scratch.path))
})

test('after distrust everything is hashed again', async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  const {lastUsed} = host.store.info(key)
  await host.store.distrust(key)
  assert.equal(JSON.parse(readFileSync(join(host.cas, 'image', `${key}.json`), 'utf8')).stamps, undefined)
  assert.equal(await host.store.isSound(key), true)
  assert.deepEqual(host.store.info(key).lastUsed, lastUsed)
})

import assert from 'node:assert/strict'
import {existsSync, readFileSync} from 'node:fs'
import {test} from 'node:test'
import {causeChain} from '../errors.ts'
import {openTreestore} from '../treestore/index.ts'
import {aHost, unverified} from './fixture.ts'

test('a file is read again whatever the pull policy is, by path and by URL', async () => {
  using host = aHost()
  const path = await host.archive('example.com/app')
  const key = await host.find(path, unverified)
  for (const pullPolicy of ['never', 'new', 'update'] as const) {
    await host.store.remove(key)
    assert.equal(await host.find(pullPolicy === 'new' ? `file://${path}` : path, {...unverified, pullPolicy}), key)
  }
  assert.deepEqual(new Set(host.lines), new Set([`image: using image from file ${path}`]))
})

test('stored images are found by name and by hash, and not asked for elsewhere', async () => {
  using host = aHost()
  const key = await host.find(await host.archive('example.com/app'), unverified)

  for (const pullPolicy of ['new', 'never'] as const) assert.equal(await host.find('example.com/app', {pullPolicy}), key)
  assert.equal(host.lines.at(-1), 'image: using image from local store for image name example.com/app')
  assert.equal(await host.find(key.slice(0, 20)), key)
  assert.equal(host.lines.at(-1), `image: using image from the store with hash ${key}`)
  await assert.rejects(
    host.find('sha512-00000'),
    (error) => causeChain(error).join(' > ') === 'could not resolve image "sha512-00000" > no image IDs found',
  )
})

test('what the store does not have is refused with the policy never', async () => {
  using host = aHost()
  const tail = 'either image was not found in the store or store was disabled and fetching from remote yielded nothing or it was disabled'
  for (const [reference, what] of [
    ['example.com/other', 'image from image name "example.com/other"'],
    ['https://example.com/a.aci', 'image from URL "https://example.com/a.aci"'],
    ['docker://busybox', 'docker image from URL "docker://busybox"'],
  ] as const) {
    assert.deepEqual(await host.failure(reference, {pullPolicy: 'never'}), [`unable to fetch ${what}: ${tail}`])
  }
})

test('each image says where it is distributed', async () => {
  using host = aHost()
  const path = await host.archive('example.com/app')

  const key = await host.find(path, unverified)

  assert.equal(host.store.info(key).source, `cimd:aci-archive:v=0:${encodeURIComponent(`file://${path}`)}`)
})

test('root renders what it fetches, where it can be overlaid', {skip: process.geteuid?.() === 0 ? false : 'needs root'}, async () => {
  using host = aHost()
  const treestore = openTreestore(host.cas, host.store)

  const key = await host.find(await host.archive('example.com/app'), {...unverified, render: true})

  assert.equal(treestore.isRendered(treestore.idOf(key)), treestore.overlayProblem() === null)
  assert.ok(existsSync(host.store.blobPath(key)))
  assert.ok(readFileSync(host.store.blobPath(key)).length > 0)
})

import assert from 'node:assert/strict'
import {chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aManifest, anArchive, aStore} from './fixture.ts'

const GROUP = 4711
const onlyRoot = {skip: process.geteuid?.() === 0 ? false : 'needs root'}

/** A store that a group shares, with an image of root's. */
async function aSharedStore() {
  const host = aStore()
  const key = await host.import(await anArchive(aManifest({name: 'example.com/app'})))
  chownSync(host.cas, -1, GROUP)
  return {...host, key, verified: join(host.cas, 'verified')}
}

/** What a member of the group could have imported: root's record of it is gone. */
async function anImageOfAMember(host: Awaited<ReturnType<typeof aSharedStore>>, name: string) {
  const key = await host.import(await anArchive(aManifest({name})))
  rmSync(join(host.verified, key))
  return key
}

test('where root alone writes, every image is vouched for', onlyRoot, async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest()))
  rmSync(join(host.cas, 'verified'), {recursive: true})

  assert.ok(host.store.isVouched(key))
  assert.equal(host.store.findByName('example.com/app', []), key)
})

test('in a shared store root finds by name what root imported, and no other', onlyRoot, async () => {
  using host = await aSharedStore()
  const other = await anImageOfAMember(host, 'example.com/other')

  assert.equal(host.store.findByName('example.com/app', []), host.key)
  assert.throws(() => host.store.findByName('example.com/other', []), {code: 'RKT_IMAGE_NOT_FOUND'})
  assert.equal(host.store.findByName('example.com/other', [], {unvouched: true}), other)
  await host.store.vouch(other)
  assert.equal(host.store.findByName('example.com/other', []), other)
  assert.equal(statSync(host.verified).mode & 0o777, 0o700)
})

test('a record that a member changed does not give a vouched image another name', onlyRoot, async () => {
  using host = await aSharedStore()
  const sidecar = join(host.cas, 'image', `${host.key}.json`)
  writeFileSync(sidecar, readFileSync(sidecar, 'utf8').replace('example.com/app', 'example.com/bank'))
  renameSync(join(host.cas, 'name/example.com%2Fapp'), join(host.cas, 'name/example.com%2Fbank'))

  assert.throws(() => host.store.findByName('example.com/bank', []), {code: 'RKT_IMAGE_NOT_FOUND'})
  assert.equal(host.store.findByName('example.com/bank', [], {unvouched: true}), host.key)
})

test('a directory of records that is not root’s own counts for nothing and is replaced', onlyRoot, async () => {
  using host = await aSharedStore()
  const theirs = `${host.verified}.theirs`
  renameSync(host.verified, theirs)
  mkdirSync(host.verified)
  writeFileSync(join(host.verified, host.key), readFileSync(join(theirs, host.key)))
  chownSync(host.verified, 65534, GROUP)

  assert.equal(host.store.isVouched(host.key), false)
  await host.store.vouch(host.key)
  assert.ok(host.store.isVouched(host.key))
  assert.deepEqual([statSync(host.verified).uid, statSync(host.verified).mode & 0o777], [0, 0o700])
})

test('root does not vouch for a blob with another content than its key says', onlyRoot, async () => {
  using host = await aSharedStore()
  const key = await anImageOfAMember(host, 'example.com/other')
  writeFileSync(host.store.blobPath(key), readFileSync(host.store.blobPath(host.key)))

  await assert.rejects(host.store.vouch(key), {code: 'RKT_IMAGE_HASH_MISMATCH'})
  assert.equal(host.store.isVouched(key), false)
})

test('root hears of its own downloads of a URL, and with the image its word goes', onlyRoot, async () => {
  using host = await aSharedStore()
  const remote = {downloadTime: new Date(0), etag: '"e"', key: host.key, maxAge: 5, signatureUrl: '', url: 'http://example.com/x.aci'}
  await host.store.putRemote(remote)
  const shared = join(host.cas, 'remote')
  renameSync(shared, `${shared}.gone`)

  assert.deepEqual(host.store.remote(remote.url), remote)
  assert.equal(host.store.remote(remote.url, {unvouched: true}), null)
  renameSync(`${shared}.gone`, shared)
  await host.store.remove(host.key)
  await host.store.sweep()
  assert.deepEqual([existsSync(join(host.verified, host.key)), host.store.remote(remote.url)], [false, null])
})

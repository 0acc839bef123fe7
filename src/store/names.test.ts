import assert from 'node:assert/strict'
import {chownSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aManifest, anArchive, aStore} from './fixture.ts'
import {nameOfSource, type StoredName, withName} from './names.ts'
import {aLayer, documentsOf, importImage, packed} from './oci-fixture.ts'

const onlyRoot = {skip: process.geteuid?.() === 0 ? false : 'needs root'}
const layer = packed(await aLayer({bin: null, 'bin/sh': 'shell'}))

const aName = (parts: Partial<StoredName> = {}): StoredName => ({
  importTime: new Date(0),
  labels: [],
  latest: false,
  name: 'example.com/app',
  source: 'a',
  ...parts,
})

/** An image of OCI's format, by the name of one repository and then of another. */
async function anImageOfTwoNames(store: ReturnType<typeof aStore>['store']) {
  const documents = documentsOf([layer])
  const renamed = {...documents, identity: {...documents.identity, repository: 'other', tag: 'v2'}}
  const key = await importImage(store, [layer], documents, {source: 'cimd:docker:v=0:registry.example.com/app:v1'})
  assert.equal(await importImage(store, [layer], renamed, {source: 'cimd:docker:v=0:registry.example.com/other:v2'}), key)
  return key
}

const [app, other] = ['registry.example.com/app', 'registry.example.com/other']

test('what is fetched again by another reference keeps its name and gains one, each with its own view', async () => {
  using host = aStore()
  const {store} = host
  const key = await anImageOfTwoNames(store)

  for (const [name, version] of [
    [app, 'v1'],
    [other, 'v2'],
  ] as const) {
    const found = store.findNamed(name, [{name: 'version' as never, value: version}])
    assert.equal(found.key, key)
    const {labels, name: shown} = store.ociDocuments(key, found.source).view
    assert.deepEqual([shown, labels?.find((label) => label.name === 'version')?.value], [name, version])
  }
  assert.deepEqual(
    store.info(key).names.map(({name, source}) => [name, source]),
    [
      [other, `cimd:docker:v=0:${other}:v2`],
      [app, `cimd:docker:v=0:${app}:v1`],
    ],
  )
  assert.deepEqual(
    (await store.list()).map(({name, names}) => [name, names.length]),
    [[other, 2]],
  )
})

test('an image loses one of its names with what was remembered of that download, never the last', async () => {
  using host = aStore()
  const {store} = host
  const key = await anImageOfTwoNames(store)
  const remote = (url: string) => ({downloadTime: new Date(0), etag: 'e', key, maxAge: 0, signatureUrl: '', url})
  for (const url of [`docker://${app}:v1`, `docker://${other}:v2`]) await store.putRemote(remote(url))
  const named = (wanted: string) => store.info(key).names.find(({name}) => name === wanted) as StoredName

  assert.equal(await store.removeName(key, named(other)), true)
  assert.throws(() => store.findByName(other, []), {code: 'RKT_IMAGE_NOT_FOUND'})
  assert.equal(store.remote(`docker://${other}:v2`), null)
  assert.equal(store.remote(`docker://${app}:v1`)?.key, key)
  assert.equal(await store.removeName(key, named(app)), false)
  assert.equal(store.findByName(app, []), key)
  await store.remove(key)
  assert.equal(existsSync(join(host.cas, 'name')) && readFileSync(join(host.cas, 'generation')).length > 0, true)
  assert.throws(() => store.findByName(app, []), {code: 'RKT_IMAGE_NOT_FOUND'})
})

test('a member of the group does not rename what root imported, nor take its name away', onlyRoot, async () => {
  using host = aStore()
  const {store} = host
  const documents = documentsOf([layer])
  const source = `cimd:docker:v=0:${app}:v1`
  const key = await importImage(store, [layer], documents, {source})
  chownSync(host.cas, -1, 4711)
  const sidecar = join(host.cas, 'image', `${key}.json`)
  const text = readFileSync(sidecar, 'utf8')

  writeFileSync(sidecar, text.replaceAll('"app"', '"bank"').replaceAll(app, 'registry.example.com/bank'))

  assert.deepEqual([store.findByName(app, []), store.ociDocuments(key, source).view.name], [key, app])
  assert.equal(store.ociDocuments(key).view.name, app)
  assert.equal(JSON.parse((await store.shownManifest(key)).toString()).name, app)
  assert.deepEqual(
    store.info(key).names.map(({name}) => name),
    [app, 'registry.example.com/bank'],
  )
  assert.throws(() => store.findByName('registry.example.com/bank', []), {code: 'RKT_IMAGE_NOT_FOUND'})
})

test('a manifest that a member wrote is not the one that root is shown', onlyRoot, async () => {
  using host = aStore()
  const key = await host.import(await anArchive(aManifest({name: 'example.com/app'})))
  chownSync(host.cas, -1, 4711)
  const path = join(host.cas, 'imageManifest/sha512', key.slice(7, 9), key)
  writeFileSync(path, readFileSync(path, 'utf8').replace('example.com/app', 'example.com/bank'))

  assert.equal(JSON.parse((await host.store.shownManifest(key)).toString()).name, 'example.com/app')
})

test('a record of before there were several names opens', async () => {
  using host = aStore()
  const {store} = host
  const key = await importImage(store, [layer])
  const aci = await host.import(await anArchive(aManifest()), true)
  for (const each of [key, aci]) {
    const path = join(host.cas, 'image', `${each}.json`)
    const {names, oci, ...rest} = JSON.parse(readFileSync(path, 'utf8'))
    const [{identity, ...only}] = names
    writeFileSync(path, JSON.stringify({...rest, ...only, ...(oci && {oci: {...oci, identity}})}))
  }

  assert.equal(store.findByName(app, []), key)
  assert.equal(store.ociDocuments(key).view.name, app)
  assert.deepEqual([store.findByName('example.com/app', []), store.info(aci).latest], [aci, true])
  assert.equal(await importImage(store, [layer]), key)
  assert.equal(store.info(key).names.length, 1)
})

test('an archive by its name, its URL and a file has one name and three sources, and stays the latest', async () => {
  using host = aStore()
  const {store} = host
  const key = await host.import(await anArchive(aManifest()), true)
  await store.addSource(key, {latest: false, source: 'cimd:aci-archive:v=0:x'})
  await store.addSource(key, {latest: false, source: 'cimd:aci-archive:v=0:x'})
  await host.import(await anArchive(aManifest({version: '2'})))

  assert.deepEqual([store.info(key).names.length, new Set(store.info(key).names.map(({name}) => name)).size], [2, 1])
  assert.equal(store.findByName('example.com/app', []), key, 'a later import by its URL does not take that away')
})

test('sources are kept up to a bound, names all', () => {
  const many = Array.from({length: 200}, (_, at) => aName({source: `file-${at}`}))
  const names = many.reduce<readonly StoredName[]>((known, name) => withName(known, name), [aName({name: 'example.com/first'})])
  assert.equal(names.length, 64)
  assert.deepEqual([names[0]?.source, names.at(-1)?.name], ['file-199', 'example.com/first'])
  const [first, ...rest] = withName(names, aName({name: 'example.com/more', source: 'b'}))
  assert.equal(nameOfSource([first, ...rest], 'b').name, 'example.com/more')
  assert.equal(nameOfSource([first, ...rest], 'unknown'), first)
})

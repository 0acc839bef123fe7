import assert from 'node:assert/strict'
import {closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {buffer} from 'node:stream/consumers'
import {test} from 'node:test'
import {pack} from 'tar-stream'
import {type ImageKey, openStore} from '../store/index.ts'
import {openTreestore, renderList} from './index.ts'
import {treeIdOf} from './tree-id.ts'

interface Dependency {
  readonly imageName: string
  readonly imageID?: string
}

function aTreestore() {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-treestore-'))
  const cas = join(dir, 'cas')
  const store = openStore(cas)
  return {
    cas,
    dir,
    async image(name: string, files: readonly string[], extra: {dependencies?: readonly Dependency[]; pathWhitelist?: string[]} = {}) {
      const tar = pack()
      tar.entry({name: 'manifest'}, JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', name: `example.com/${name}`, ...extra}))
      tar.entry({name: 'rootfs', type: 'directory'})
      for (const file of files) tar.entry({name: `rootfs/${file}`}, `${file} of ${name}`)
      tar.finalize()
      const path = join(dir, 'image.aci')
      writeFileSync(path, await buffer(tar as unknown as Readable))
      const fd = openSync(path, 'r')
      try {
        return await store.importAci(fd, {latest: false, source: path})
      } finally {
        closeSync(fd)
      }
    },
    store,
    trees: openTreestore(cas, store),
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      rmSync(dir, {force: true, recursive: true})
    },
  }
}

const on = (...names: string[]) => ({dependencies: names.map((name) => ({imageName: `example.com/${name}`}))})

test('the id of a tree is the documented hash of its images', () => {
  const key = 'sha512-bcacb3d2ffeb96b0afcc44e598d1f9bee1eb29bc4c9369eb77721dc9cfdb53ab' as ImageKey

  assert.equal(treeIdOf([key]), 'deps-sha512-c0337cdbd3340e35296208ee6dabd99246c9acf621756a2e77cbd6728501373c')
})

test('dependencies follow their image, the last one first, each at every place that it has', async () => {
  using host = aTreestore()
  const d = await host.image('d', [])
  const b = await host.image('b', [], on('d'))
  const c = await host.image('c', [], on('d'))
  const a = await host.image('a', [], on('b', 'c'))

  assert.deepEqual(
    renderList(host.store, a).map((entry) => entry.key),
    [a, c, d, b, d],
  )
})

test('a whitelist counts for its image and for those below it, not for its siblings', async () => {
  using host = aTreestore()
  await host.image('leaf', ['x', 'y'])
  await host.image('listed', ['x', 'y'], {...on('leaf'), pathWhitelist: ['/x']})
  await host.image('sibling', ['y', 'z'])
  const top = await host.image('top', [], on('sibling', 'listed'))
  const target = join(host.dir, 'target')
  mkdirSync(target)

  await host.trees.renderInto(top, target)

  assert.deepEqual(readdirSync(target).sort(), ['x', 'y', 'z'])
  assert.equal(readFileSync(join(target, 'x'), 'utf8'), 'x of listed')
  assert.equal(readFileSync(join(target, 'y'), 'utf8'), 'y of sibling')
})

test('a circle of dependencies is refused with its members', async () => {
  using host = aTreestore()
  await host.image('b', [], on('a'))
  const a = await host.image('a', [], on('b'))

  assert.throws(() => host.trees.idOf(a), {
    code: 'RKT_DEPENDENCY_CYCLE',
    message: 'image "example.com/a" depends on itself: example.com/a -> example.com/b -> example.com/a',
  })
})

test('a lattice of dependencies that doubles at each level is refused before it fills the memory', async () => {
  using host = aTreestore()
  await host.image('level-0', [])
  let top = await host.image('level-1', [], on('level-0', 'level-0'))
  for (let level = 2; level < 40; level += 1) top = await host.image(`level-${level}`, [], on(`level-${level - 1}`, `level-${level - 1}`))

  assert.throws(() => host.trees.idOf(top), {code: 'RKT_DEPENDENCIES_TOO_MANY'})
})

test('a dependency that is not in the store is named, by name as by id', async () => {
  using host = aTreestore()
  const byName = await host.image('one', [], on('nowhere'))
  const byId = await host.image('two', [], {dependencies: [{imageID: 'sha512-0123456789', imageName: 'example.com/gone'}]})

  assert.throws(() => host.trees.idOf(byName), {message: 'dependency "example.com/nowhere" of image "example.com/one" is not in the store'})
  assert.throws(() => host.trees.idOf(byId), {message: 'dependency "example.com/gone" of image "example.com/two" is not in the store'})
})

test('a tree is rendered once, with its manifest, image, digest and size on record', async () => {
  using host = aTreestore()
  await host.image('base', ['base', 'both'])
  const key = await host.image('top', ['both'], on('base'))
  const id = host.trees.idOf(key)
  assert.ok(!host.trees.isRendered(id))

  assert.equal(await host.trees.render(key), id)

  const tree = join(host.cas, 'tree', id)
  assert.deepEqual(readdirSync(tree).sort(), ['hash', 'image', 'manifest', 'rendered', 'rootfs'])
  assert.deepEqual(readdirSync(host.trees.rootfsPath(id)).sort(), ['base', 'both'])
  assert.equal(readFileSync(join(tree, 'rootfs/both'), 'utf8'), 'both of top')
  assert.equal(readFileSync(join(tree, 'image'), 'utf8'), key)
  assert.match(readFileSync(join(tree, 'hash'), 'utf8'), /^merkle-sha512-[\da-f]{64}$/)
  assert.equal(JSON.parse(readFileSync(host.trees.manifestPath(id), 'utf8')).name, 'example.com/top')
  assert.ok(host.store.info(key).treeSize > 0)
  assert.deepEqual(host.trees.list(), [id])
  const {ino} = statSync(host.trees.rootfsPath(id))
  await host.trees.render(key)
  assert.equal(statSync(host.trees.rootfsPath(id)).ino, ino, 'the second time is a look')
})

test('what a killed renderer left is rendered anew', async () => {
  using host = aTreestore()
  const key = await host.image('app', ['file'])
  const id = host.trees.idOf(key)
  mkdirSync(join(host.cas, 'tree', id, 'rootfs/half'), {recursive: true})

  await host.trees.render(key)

  assert.deepEqual(readdirSync(host.trees.rootfsPath(id)), ['file'])
})

test('a changed tree is found, and mended by rendering it again', async () => {
  using host = aTreestore()
  const key = await host.image('app', ['file'])
  const id = await host.trees.render(key)
  await host.trees.check(id)
  writeFileSync(join(host.trees.rootfsPath(id), 'file'), 'changed')

  await assert.rejects(host.trees.check(id), {
    code: 'RKT_TREE_CORRUPT',
    message: /^wrong tree hash: merkle-sha512-\w+, expected: merkle-sha512-\w+$/,
  })
  await host.trees.render(key, {rebuild: true})
  await host.trees.check(id)
  assert.equal(readFileSync(join(host.trees.rootfsPath(id), 'file'), 'utf8'), 'file of app')
})

for (const [what, extra] of Object.entries({alone: {}, 'with a dependency': on('base')})) {
  test(`an image ${what} whose blob was changed is refused, and no tree is left`, async () => {
    using host = aTreestore()
    await host.image('base', ['base'])
    const key = await host.image('app', ['file'], extra)
    const blob = readFileSync(host.store.blobPath(key))
    blob.write('FILE', blob.lastIndexOf('file of app'))
    writeFileSync(host.store.blobPath(key), blob)

    await assert.rejects(host.trees.render(key), {code: 'RKT_IMAGE_HASH_MISMATCH'})

    assert.deepEqual(host.trees.list(), [])
  })

  test(`the manifest of a tree of an image ${what} comes from its blob, whatever lies beside it`, async () => {
    using host = aTreestore()
    await host.image('base', ['base'])
    const key = await host.image('app', ['file'], extra)
    const forged = host.store.manifestBytes(key).toString().replace('example.com/app', 'example.com/bad')
    writeFileSync(join(host.cas, 'imageManifest/sha512', key.slice(7, 9), key), forged)

    const id = await host.trees.render(key)

    assert.equal(JSON.parse(readFileSync(host.trees.manifestPath(id), 'utf8')).name, 'example.com/app')
  })
}

test('a removed tree is gone with its lock and its size; removing it again does nothing', async () => {
  using host = aTreestore()
  const key = await host.image('app', ['file'])
  const id = await host.trees.render(key)

  await host.trees.remove(id)
  await host.trees.remove(id)

  assert.ok(!existsSync(join(host.cas, 'tree', id)))
  assert.deepEqual(readdirSync(join(host.cas, 'treestorelocks')), [])
  assert.equal(host.store.info(key).treeSize, 0)
})

test('many who render the same image at once get the same whole tree', async () => {
  using host = aTreestore()
  const key = await host.image('app', ['file'])

  const ids = await Promise.all(Array.from({length: 8}, () => openTreestore(host.cas, host.store).render(key)))

  assert.equal(new Set(ids).size, 1)
  await host.trees.check(ids[0] ?? assert.fail())
})

import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'
import {type Descriptor, digestOf, type ImageIdentity, parseConfig, parseDocument} from '../oci/index.ts'
import {type ImageKey, openStore, type Store} from '../store/index.ts'
import {aLayer, documentsOf, importImage, type PackedLayer, packed} from '../store/oci-fixture.ts'
import {openTreestore, type Treestore} from './index.ts'

const rootOnly = process.geteuid?.() === 0 ? {} : {skip: 'only root renders layers'}
const isCode = (code: string) => (error: unknown) => error instanceof RktError && error.code === code

interface Host extends Disposable {
  readonly dir: string
  readonly cas: string
  readonly store: Store
  readonly trees: Treestore
}

function aHost(): Host {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-oci-tree-'))
  const cas = join(dir, 'cas')
  const store = openStore(cas)
  return {
    cas,
    dir,
    store,
    trees: openTreestore(cas, store),
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      rmSync(dir, {force: true, recursive: true})
    },
  }
}

const base = packed(
  await aLayer({
    bin: null,
    'bin/sh': 'shell',
    etc: null,
    'etc/passwd': 'root',
    opt: null,
    'opt/old': 'old',
    tmp: {mode: 0o1777, type: 'directory'},
  }),
)
const top = packed(
  await aLayer({etc: null, 'etc/.wh.passwd': '', 'etc/hosts': 'localhost', opt: null, 'opt/.wh..wh..opq': '', 'opt/new': 'new'}),
)

/** What a pod would see of a tree. */
function withView<T>(trees: Treestore, id: ReturnType<Treestore['idOf']>, look: (root: string) => T): T {
  const view = unwrap(native().overlayView(trees.lowers(id)))
  try {
    return look(`/proc/self/fd/${view}`)
  } finally {
    closeSync(view)
  }
}

const namesBelow = (root: string): string[] => (readdirSync(`${root}/`, {recursive: true}) as string[]).sort()

test('a tree is a stack of layers that other trees share', rootOnly, async () => {
  using host = aHost()
  const {store, trees} = host
  const one = await importImage(store, [base])
  const two = await importImage(store, [base, top])
  const [treeOne, treeTwo] = [await trees.render(one), await trees.render(two)]
  assert.deepEqual(trees.lowers(treeTwo), [store.layers.rootfs(top.diffId), store.layers.rootfs(base.diffId)])
  assert.deepEqual(trees.lowers(treeOne), [store.layers.rootfs(base.diffId)])
  assert.deepEqual(withView(trees, treeTwo, namesBelow), ['bin', 'bin/sh', 'etc', 'etc/hosts', 'opt', 'opt/new', 'tmp'])
  assert.deepEqual(trees.list(), [treeOne, treeTwo].sort())
  assert.equal(trees.idOf(two), treeTwo)
  assert.equal(JSON.parse(readFileSync(trees.manifestPath(treeTwo), 'utf8')).name, 'registry.example.com/app')
  assert.ok(store.info(two).treeSize > 0)
  assert.throws(() => trees.rootfsPath(treeTwo), isCode('RKT_TREE_LAYERED'))

  await trees.remove(treeTwo)
  assert.deepEqual(store.layers.list(), [base.diffId], 'its own layer went with it')
  await trees.remove(treeOne)
  assert.deepEqual(store.layers.list(), [])
})

test('an image that comes again under another name has the same tree', rootOnly, async () => {
  using host = aHost()
  const documents = documentsOf([base])
  const key = await importImage(host.store, [base], documents)
  const tree = await host.trees.render(key)
  const renamed = {...documents, identity: {...documents.identity, repository: 'other'}}
  assert.equal(await importImage(host.store, [base], renamed, {source: 'other'}), key)
  assert.equal(await host.trees.render(key), tree)
  assert.deepEqual(host.trees.list(), [tree])
})

test('a changed layer is noticed and made anew', rootOnly, async () => {
  using host = aHost()
  const {store, trees} = host
  const key = await importImage(store, [base, top])
  const tree = await trees.render(key)
  await trees.check(tree)
  const file = join(store.layers.rootfs(base.diffId), 'bin/sh')
  writeFileSync(file, 'evil!')
  await assert.rejects(trees.check(tree), isCode('RKT_TREE_CORRUPT'))
  const sound = lstatSync(join(store.layers.rootfs(top.diffId), 'etc/hosts')).ino
  await trees.render(key, {rebuild: true})
  await trees.check(tree)
  assert.equal(readFileSync(file, 'utf8'), 'shell')
  assert.equal(lstatSync(join(store.layers.rootfs(top.diffId), 'etc/hosts')).ino, sound, 'a sound layer stays, it may be mounted')
})

test('root renders only bytes that have the DiffID, and a killed rendering is done again', rootOnly, async () => {
  using host = aHost()
  const {store, trees} = host
  const key = await importImage(store, [base])
  const tree = await trees.render(key)
  await trees.remove(tree)
  // as a group member may have changed it, of the same size
  const path = store.contentPath(base.digest)
  const bytes = readFileSync(path)
  writeFileSync(path, Buffer.from(bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte))))
  await assert.rejects(trees.render(key), RktError)
  assert.deepEqual([trees.list(), store.layers.list()], [[], []])
  writeFileSync(path, bytes)
  mkdirSync(join(store.layers.rootfs(base.diffId), 'left'), {recursive: true})
  mkdirSync(join(host.cas, 'tree', tree, 'left'), {recursive: true})
  await trees.render(key)
  await trees.check(tree)
})

const flattened: readonly (readonly [string, readonly PackedLayer[]])[] = [
  ['a hard link into a lower layer', [base, packed(await aLayer({bin: null, 'bin/ash': {linkname: 'bin/sh', type: 'link'}}))]],
  ['a directory that an upper layer implies and a lower one describes otherwise', [base, packed(await aLayer({'tmp/file': 'x'}))]],
  [
    'a link in a lower layer through which a name of an upper one leads',
    [
      packed(await aLayer({lib: {linkname: 'usr/lib', type: 'symlink'}, usr: null, 'usr/lib': null, 'usr/lib/old': 'x'})),
      packed(await aLayer({'lib/new': 'x'})),
    ],
  ],
  [
    'more layers than an overlay bears',
    await Promise.all(Array.from({length: 101}, async (_, at) => packed(await aLayer({[`f${at}`]: 'x'})))),
  ],
]
for (const [reason, layers] of flattened) {
  test(`a tree is flat where there is ${reason}`, rootOnly, async () => {
    using host = aHost()
    const key = await importImage(host.store, layers)
    const tree = await host.trees.render(key)
    const root = host.trees.rootfsPath(tree)
    assert.deepEqual(host.trees.lowers(tree), [root])
    await host.trees.check(tree)
    if (existsSync(join(root, 'tmp'))) assert.equal(lstatSync(join(root, 'tmp')).mode & 0o7777, 0o1777)
    if (existsSync(join(root, 'lib'))) {
      assert.deepEqual([readlinkSync(join(root, 'lib')), namesBelow(join(root, 'usr/lib'))], ['usr/lib', ['new', 'old']])
    }
    if (existsSync(join(root, 'bin/ash'))) assert.equal(lstatSync(join(root, 'bin/ash')).ino, lstatSync(join(root, 'bin/sh')).ino)
    await host.trees.remove(tree)
    await host.trees.sweep()
    assert.deepEqual([host.trees.list(), host.store.layers.list()], [[], []])
  })
}

test('for a pod without overlay the layers are one tree, owners shifted', rootOnly, async () => {
  using host = aHost()
  const key = await importImage(host.store, [base, top])
  const dir = join(host.dir, 'rootfs')
  mkdirSync(dir)
  await host.trees.renderInto(key, dir, {shift: {base: 100_000, count: 65_536}})
  assert.deepEqual(namesBelow(dir), ['bin', 'bin/sh', 'etc', 'etc/hosts', 'opt', 'opt/new', 'tmp'])
  assert.ok(namesBelow(dir).every((name) => lstatSync(join(dir, name)).uid === 100_000))
  assert.equal(lstatSync(dir).uid, 100_000)
  assert.deepEqual(readdirSync(host.dir).sort(), ['cas', 'rootfs'], 'nothing else stays')
})

/** Makes an image of four layers as people do, with umoci, out of Debian's busybox. */
function realImage(dir: string): string {
  const [layout, bundle] = [join(dir, 'layout'), join(dir, 'bundle')]
  const script = `
    set -e
    umoci init --layout ${layout}; umoci new --image ${layout}:t; umoci unpack --image ${layout}:t ${bundle}
    cd ${bundle}/rootfs
    # whole seconds, and another one for each layer: clients round fractions in different ways
    stamp() { find . -newermt 2002-01-01 -exec touch -h -d @$1 {} +; umoci repack --image ${layout}:t --refresh-bundle ${bundle}; }
    mkdir -p bin etc/conf.d opt/app/data usr/lib var/spool; chmod 1777 var/spool
    cp /bin/busybox bin/busybox; ln bin/busybox bin/sh; ln -s busybox bin/ls; ln -s usr/lib lib
    echo one >etc/conf.d/one; echo two >etc/conf.d/two; echo old >opt/app/data/old; chown 7:8 etc/conf.d/one; chmod 4755 bin/busybox
    setfattr -n user.mark -v first etc/conf.d || true
    stamp 1000
    rm etc/conf.d/one; ln bin/busybox bin/cat; rm -r opt/app/data; mkfifo var/fifo; echo three >etc/conf.d/three
    stamp 2000
    rm bin/ls; mkdir bin/ls; echo in >bin/ls/in; mkdir opt/app/data; echo new >opt/app/data/new; rm lib; echo file >lib
    stamp 3000
    rm bin/sh bin/cat; chmod 700 etc/conf.d; touch -d 2001-01-01 etc/conf.d
    stamp 4000
    rm -rf ${bundle}; umoci unpack --image ${layout}:t ${bundle}`
  execFileSync('bash', ['-c', script], {stdio: ['ignore', 'ignore', 'pipe']})
  return layout
}

async function importLayout(store: Store, layout: string): Promise<ImageKey> {
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'))
  const index = parseDocument(readFileSync(join(layout, 'index.json')), null, 'the index')
  assert.ok(index.kind === 'index')
  const entry = index.manifests[0] as Descriptor
  const manifestBytes = readFileSync(blob(entry.digest))
  const manifest = parseDocument(manifestBytes, entry.mediaType, 'the manifest')
  assert.ok(manifest.kind === 'manifest')
  const configBytes = readFileSync(blob(manifest.config.digest))
  const {diffIds} = parseConfig(configBytes, 'the config')
  await using session = await store.importOci()
  for (const [at, descriptor] of manifest.layers.entries()) {
    const fd = openSync(blob(descriptor.digest), 'r')
    await session.layerFrom(fd, descriptor, diffIds[at] ?? digestOf(Buffer.from('')))
    closeSync(fd)
  }
  const identity: ImageIdentity = {host: 'layout', manifestDigest: entry.digest, repository: 'real', tag: null, typed: layout}
  return await session.commit({configBytes, identity, latest: false, manifestBytes, mediaType: entry.mediaType, source: layout})
}

const tools = spawnSync('umoci', ['--version']).status === 0 && existsSync('/bin/busybox')
test('a real image is what umoci makes of it: stacked and flat', {
  ...rootOnly,
  ...(tools ? {} : {skip: 'umoci and busybox are not here'}),
}, async () => {
  using host = aHost()
  const layout = realImage(host.dir)
  const key = await importLayout(host.store, layout)
  const tree = await host.trees.render(key)
  assert.equal(host.trees.lowers(tree).length, 4)
  const flat = join(host.dir, 'flat')
  mkdirSync(flat)
  await host.trees.renderInto(key, flat)
  const theirs = join(host.dir, 'bundle/rootfs')
  const digest = async (root: string) => unwrap(await native().digestTree(root))
  assert.equal(await digest(flat), await digest(theirs), describeDifference(flat, theirs))
  assert.equal(listing(flat), listing(theirs))
  // An overlay cannot know the time of a directory that its upper layer does not describe.
  withView(host.trees, tree, (root) => assert.equal(listing(root, {directoryTimes: false}), listing(theirs, {directoryTimes: false})))
})

/** Names, types, modes, owners, times (of directories if `directoryTimes`), links and texts of all that lies in a tree. */
function listing(root: string, {directoryTimes = true} = {}): string {
  const format = (time: string) => `%p %y %m %U:%G ${time} %n %l %s\\n`
  const directories = `%p %y %m %U:%G ${directoryTimes ? '%Ts' : ''}\\n`
  const words = ['.', '(', '-type', 'd', '-printf', directories, ')', '-o', '-printf', format('%Ts')]
  return execFileSync('find', words, {cwd: root, encoding: 'utf8'}).split('\n').sort().join('\n')
}

function describeDifference(ours: string, theirs: string): string {
  return spawnSync('diff', ['-r', '--no-dereference', ours, theirs], {encoding: 'utf8'}).stdout
}

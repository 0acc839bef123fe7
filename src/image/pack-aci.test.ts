import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {native, unwrap} from '../native/index.ts'
import {openStore} from '../store/index.ts'
import {openTreestore} from '../treestore/index.ts'
import {buildImage, extractImage, writeAci} from './index.ts'

const MANIFEST = JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', name: 'example.com/packed'})
const asRoot = process.geteuid?.() === 0 ? false : 'needs root to own and to label files'

function aTree() {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-pack-'))
  const rootfs = join(dir, 'layout/rootfs')
  mkdirSync(rootfs, {recursive: true})
  writeFileSync(join(dir, 'layout/manifest'), MANIFEST)
  const output = join(dir, 'out.aci')
  return {
    dir,
    layout: join(dir, 'layout'),
    names: () => execFileSync('tar', ['tf', output], {encoding: 'utf8'}).trim().split('\n'),
    output,
    pack: (more: object = {}) => writeAci(output, {compress: false, manifest: MANIFEST, overwrite: true, rootfs, ...more}),
    rootfs,
    /** Packs, imports and extracts: what comes back. */
    async roundTrip(): Promise<string> {
      await this.pack()
      using store = openStore(join(dir, 'cas'))
      const fd = openSync(output, 'r')
      const key = await store.importAci(fd, {latest: false, source: output})
      closeSync(fd)
      await extractImage({store, treestore: openTreestore(store.casDir, store)}, {key}, join(dir, 'back'), {
        overwrite: true,
        rootfsOnly: true,
      })
      return join(dir, 'back')
    },
    [Symbol.dispose]: () => rmSync(dir, {force: true, recursive: true}),
  }
}

test('the manifest comes first, then the tree in the order of its names', async () => {
  using tree = aTree()
  mkdirSync(join(tree.rootfs, 'b'))
  for (const name of ['b/2', 'b/1', 'c', 'a']) writeFileSync(join(tree.rootfs, name), name)

  await tree.pack()

  assert.deepEqual(tree.names(), ['manifest', 'rootfs', 'rootfs/a', 'rootfs/b', 'rootfs/b/1', 'rootfs/b/2', 'rootfs/c'])
})

test('what a tree holds comes back: modes, owners, times, links, devices, fifos, attributes, and names of any bytes', {
  skip: asRoot,
}, async () => {
  using tree = aTree()
  const at = (name: string) => join(tree.rootfs, name)
  writeFileSync(at('file'), 'content')
  writeFileSync(at('nothing'), '')
  chmodSync(at('nothing'), 0)
  linkSync(at('file'), at('hard'))
  symlinkSync('x'.repeat(150), at('symlink'))
  const deep = Array.from({length: 14}, (_, index) => `directory-number-${index}`).join('/')
  mkdirSync(at(deep), {recursive: true})
  writeFileSync(at(`${deep}/grüße`), 'far')
  writeFileSync(Buffer.concat([Buffer.from(`${tree.rootfs}/`), Buffer.from([0xff, 0xfe])]), 'bytes')
  writeFileSync(at('large'), '')
  truncateSync(at('large'), 3 << 20)
  execFileSync('sh', ['-c', 'mkfifo fifo; mknod null c 1 3; chown 70000:300000 file; chmod 4755 file; ln -s /nowhere dangling'], {
    cwd: tree.rootfs,
  })
  const capability = Buffer.from([1, 0, 0, 2, 0, 0x20, 0x80, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  execFileSync('python3', [
    '-c',
    'import os,sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex(sys.argv[2])); os.setxattr(sys.argv[1], "user.note", b"\\xff\\n=")',
    at('large'),
    capability.toString('hex'),
  ])
  utimesSync(at('file'), 981_173_106, 981_173_106)

  const back = await tree.roundTrip()

  const describe = (root: string) =>
    execFileSync('sh', ['-c', `find . -mindepth 1 -printf '%y %m %U:%G %n %s %l %p\\n' | LC_ALL=C sort`], {cwd: root}).toString('latin1')
  assert.equal(describe(back), describe(tree.rootfs))
  assert.equal(statSync(join(back, 'file')).mtime.getTime(), 981_173_106_000)
  assert.equal(statSync(join(back, 'file')).ino, statSync(join(back, 'hard')).ino)
  assert.equal(statSync(join(back, 'null')).rdev, statSync(at('null')).rdev)
  const xattrs = (root: string) =>
    unwrap(native().listXattrs(join(root, 'large')))
      .map(({name, value}) => `${name}=${value.toString('hex')}`)
      .sort()
  assert.deepEqual(xattrs(back), [`security.capability=${capability.toString('hex')}`, 'user.note=ff0a3d'])
})

test('sockets are left out', async () => {
  using tree = aTree()
  const server = createServer().listen(join(tree.rootfs, 'socket'))
  await new Promise((resolve) => server.once('listening', resolve))

  await tree.pack()

  server.close()
  assert.deepEqual(tree.names(), ['manifest', 'rootfs'])
})

test('a root that is named through a descriptor is packed as any other', async () => {
  using tree = aTree()
  writeFileSync(join(tree.rootfs, 'a'), 'a')
  const fd = openSync(tree.rootfs, 'r')

  await tree.pack({rootfs: `/proc/self/fd/${fd}`})

  closeSync(fd)
  assert.deepEqual(tree.names(), ['manifest', 'rootfs', 'rootfs/a'])
})

test('the same tree gives the same bytes, and a timestamp makes the times of files not matter', async () => {
  using tree = aTree()
  for (const name of ['a', 'b']) writeFileSync(join(tree.rootfs, name), name.repeat(3 << 20))
  const build = async (timestamp: Date | undefined) => {
    await buildImage(tree.layout, tree.output, {compress: true, overwrite: true, ownerRoot: true, timestamp})
    return readFileSync(tree.output)
  }
  const [kept, fixed] = [await build(undefined), await build(new Date(0))]
  assert.ok((await build(undefined)).equals(kept))
  utimesSync(join(tree.rootfs, 'a'), 1, 1)

  assert.ok((await build(new Date(0))).equals(fixed))
  assert.ok(!(await build(undefined)).equals(kept))
})

test('a build that fails leaves the old archive and nothing else', async () => {
  using tree = aTree()
  writeFileSync(tree.output, 'old')
  const options = {compress: true, overwrite: true, ownerRoot: false, timestamp: undefined}
  await assert.rejects(buildImage(tree.layout, tree.output, {...options, overwrite: false}), {
    message: `output ACI file ${tree.output} exists (try --overwrite)`,
  })
  await assert.rejects(buildImage(tree.layout, join(tree.dir, 'out.tar'), options), {message: /extension must be .aci/})
  writeFileSync(join(tree.layout, 'more'), '')
  await assert.rejects(buildImage(tree.layout, tree.output, options), {code: 'RKT_BAD_LAYOUT'})
  rmSync(join(tree.layout, 'more'))
  writeFileSync(join(tree.layout, 'manifest'), '{}')
  await assert.rejects(buildImage(tree.layout, tree.output, options))
  const nowhere = join(tree.dir, 'nowhere')
  await assert.rejects(tree.pack({rootfs: nowhere}), {message: `lstat ${nowhere}/.: no such file or directory`})

  assert.equal(readFileSync(tree.output, 'utf8'), 'old')
  assert.deepEqual(readdirSync(tree.dir).sort(), ['layout', 'out.aci'])
  assert.ok(existsSync(tree.output))
})

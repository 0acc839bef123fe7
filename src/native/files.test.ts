import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {causeChain, RktError} from '../errors.ts'
import {native, unwrap} from './load.ts'

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-files-'))
})
after(() => rmSync(dir, {force: true, recursive: true}))

const read = (root: string, path: string, max = 1024) => unwrap(native().readFileBeneath(root, path, max))?.toString() ?? null
const fails = (code: string) => (error: unknown) => error instanceof RktError && error.code === code

test('an unnamed file becomes visible whole, with its mode, and never replaces another', () => {
  const folder = join(dir, 'publish')
  mkdirSync(folder)
  const fd = unwrap(native().openTmpFile(folder))
  writeSync(fd, 'complete')
  fsyncSync(fd)
  assert.deepEqual(readdirSync(folder), [])

  assert.equal(unwrap(native().publish(fd, join(folder, 'blob'), 0o640)), true)
  assert.equal(readFileSync(join(folder, 'blob'), 'utf8'), 'complete')
  assert.equal(statSync(join(folder, 'blob')).mode & 0o7777, 0o640)

  const late = unwrap(native().openTmpFile(folder))
  assert.equal(unwrap(native().publish(late, join(folder, 'blob'), 0o600)), false)
  assert.equal(readFileSync(join(folder, 'blob'), 'utf8'), 'complete')
  for (const each of [fd, late]) closeSync(each)
})

test('of many that publish one name exactly one succeeds', () => {
  const folder = join(dir, 'race')
  mkdirSync(folder)
  const fds = Array.from({length: 8}, () => unwrap(native().openTmpFile(folder)))

  const won = fds.filter((fd) => unwrap(native().publish(fd, join(folder, 'one'), 0o600)))
  assert.equal(won.length, 1)
  assert.equal(statSync(join(folder, 'one')).ino, statSync(`/proc/self/fd/${won[0]}`).ino)
  for (const fd of fds) closeSync(fd)
})

test('a directory that is not there is named with the reason', () => {
  assert.throws(
    () => unwrap(native().openTmpFile(join(dir, 'nowhere'))),
    (error) => assert.deepEqual(causeChain(error), [`cannot create a file in ${dir}/nowhere`, 'no such file or directory']) === undefined,
  )
})

test('a regular file below a root is read, with a slash in front or without', () => {
  mkdirSync(join(dir, 'root/rkt/status'), {recursive: true})
  writeFileSync(join(dir, 'root/rkt/status/app'), '7\n')

  assert.equal(read(join(dir, 'root'), 'rkt/status/app'), '7\n')
  assert.equal(read(join(dir, 'root'), '/rkt/status/app'), '7\n')
})

test('what is absent is null: the file, a directory on the way, the root', () => {
  assert.equal(read(join(dir, 'root'), 'rkt/status/other'), null)
  assert.equal(read(join(dir, 'root'), 'rkt/status/app/below'), null)
  assert.equal(read(join(dir, 'no-root'), 'rkt/status/app'), null)
})

test('no link is followed: neither the file, nor a directory on the way, nor a magic one, nor ".."', () => {
  const root = join(dir, 'hostile')
  mkdirSync(join(root, 'sub'), {recursive: true})
  writeFileSync(join(dir, 'secret'), 'secret')
  symlinkSync(join(dir, 'secret'), join(root, 'file'))
  symlinkSync(dir, join(root, 'way'))
  symlinkSync('sub', join(root, 'inside'))

  assert.throws(() => read(root, 'file'), fails('RKT_NOT_REGULAR'))
  assert.throws(() => read(root, 'way/secret'), fails('RKT_UNSAFE_PATH'))
  assert.throws(() => read(root, 'inside/x'), fails('RKT_UNSAFE_PATH'))
  assert.throws(() => read(root, '../secret'), fails('RKT_UNSAFE_PATH'))
  assert.throws(() => read(root, 'sub/../../secret'), fails('RKT_UNSAFE_PATH'))
  assert.throws(() => read('/proc/self', 'root/etc/passwd'), fails('RKT_UNSAFE_PATH'))
})

test('a planted fifo, device or directory is refused at once', () => {
  const root = join(dir, 'planted')
  mkdirSync(join(root, 'directory'), {recursive: true})
  assert.equal(spawnSync('mkfifo', [join(root, 'fifo')]).status, 0)

  assert.throws(() => read(root, 'fifo'), fails('RKT_NOT_REGULAR'))
  assert.throws(() => read(root, 'directory'), fails('RKT_NOT_REGULAR'))
  assert.throws(() => read('/dev', 'null'), fails('RKT_NOT_REGULAR'))
})

test('a file is read up to its bound and refused beyond, without being read whole', () => {
  const root = join(dir, 'huge')
  mkdirSync(root)
  writeFileSync(join(root, 'exact'), 'x'.repeat(16))
  assert.equal(spawnSync('truncate', ['-s', '8T', join(root, 'sparse')]).status, 0)

  assert.equal(read(root, 'exact', 16)?.length, 16)
  assert.throws(() => read(root, 'exact', 15), fails('RKT_FILE_TOO_LARGE'))
  assert.throws(() => read(root, 'sparse', 1024), fails('RKT_FILE_TOO_LARGE'))
})

test('the text of a link is read, whatever it points to; what is no link is refused', () => {
  const root = join(dir, 'links')
  mkdirSync(join(root, 'rkt'), {recursive: true})
  symlinkSync('ready', join(root, 'rkt/supervisor-status'))
  symlinkSync('rkt', join(root, 'way'))
  writeFileSync(join(root, 'file'), '')
  const link = (path: string) => unwrap(native().readLinkBeneath(root, path))

  assert.equal(link('rkt/supervisor-status'), 'ready')
  assert.equal(link('rkt/none'), null)
  assert.throws(() => link('way/supervisor-status'), fails('RKT_UNSAFE_PATH'))
  assert.throws(() => link('file'), fails('RKT_NOT_A_LINK'))
  assert.throws(() => link('rkt'), fails('RKT_NOT_A_LINK'))
  assert.equal(existsSync(join(root, 'ready')), false)
})

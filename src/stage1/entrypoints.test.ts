import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {test} from 'node:test'
import {type ImageManifest, parseImageManifest} from '../appc/index.ts'
import {findEntrypoint, interfaceVersion} from './entrypoints.ts'

function manifestWith(annotations: Record<string, string>): ImageManifest {
  const list = Object.entries(annotations).map(([name, value]) => ({name: `coreos.com/rkt/stage1/${name}`, value}))
  return parseImageManifest(
    JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', annotations: list, name: 'example.com/stage1'}),
    'a test',
  )
}

class Tree implements Disposable {
  readonly path = mkdtempSync('/tmp/rkt-stage1-')

  file(name: string, mode = 0o755): this {
    const path = join(this.path, name)
    mkdirSync(dirname(path), {recursive: true})
    writeFileSync(path, '')
    chmodSync(path, mode)
    return this
  }

  link(name: string, target: string): this {
    symlinkSync(target, join(this.path, name))
    return this
  }

  [Symbol.dispose](): void {
    rmSync(this.path, {recursive: true})
  }
}

const find = (tree: Tree, path: string) => findEntrypoint(manifestWith({run: path}), 'run', tree.path)
const refusal = (reason: string) => ({
  cause: new Error(reason),
  code: 'RKT_STAGE1_ENTRYPOINT',
  message: 'stage1 image "example.com/stage1" names no usable coreos.com/rkt/stage1/run',
})

test('an entrypoint is the executable that its annotation names', () => {
  using tree = new Tree().file('usr/lib/init')
  assert.deepEqual(find(tree, '/usr/lib/init'), {named: '/usr/lib/init', relative: 'usr/lib/init'})
})

test('links of the tree are followed inside of the tree', () => {
  using tree = new Tree().file('usr/lib/init').link('init', 'usr/lib/init').link('lib', '/usr/lib')
  assert.deepEqual(find(tree, '/init'), {named: '/init', relative: 'usr/lib/init'})
  assert.deepEqual(find(tree, '/lib/./init'), {named: '/lib/./init', relative: 'usr/lib/init'})
})

test('a path cannot leave the tree: whatever it climbs, it stays below', () => {
  using tree = new Tree().file('bin/sh').link('up', '../../../../../../..')
  assert.equal(find(tree, '/../../../bin/sh').relative, 'bin/sh')
  assert.equal(find(tree, '/up/bin/sh').relative, 'bin/sh')
})

test('the host has an executable there, the tree has none', () => {
  using tree = new Tree().link('sh', '/bin/sh')
  assert.throws(() => find(tree, '/bin/sh'), refusal('/bin/sh does not exist in its root file system'))
  assert.throws(() => find(tree, '/sh'), refusal('/sh does not exist in its root file system'))
})

test('what cannot be executed is refused by name', () => {
  using tree = new Tree().file('plain', 0o644).file('dir/file').link('loop', 'loop')
  execFileSync('mkfifo', [join(tree.path, 'fifo')])
  assert.throws(() => find(tree, '/plain'), refusal('/plain is not executable'))
  assert.throws(() => find(tree, '/dir'), refusal('/dir is not a regular file'))
  assert.throws(() => find(tree, '/fifo'), refusal('/fifo is not a regular file'))
  assert.throws(() => find(tree, '/loop'), refusal('/loop does not exist in its root file system'))
  assert.throws(() => find(tree, '/plain/x'), refusal('/plain/x does not exist in its root file system'))
  assert.throws(() => find(tree, 'plain'), refusal('plain is not an absolute path'))
})

test('an image without the annotation has no such entrypoint', () => {
  using tree = new Tree().file('run')
  assert.throws(() => findEntrypoint(manifestWith({run: '/run'}), 'gc', tree.path), {
    message: 'entrypoint "coreos.com/rkt/stage1/gc" not found',
  })
})

test('the interface version is a number, 1 when it is missing', () => {
  assert.equal(interfaceVersion(manifestWith({})), 1)
  assert.equal(interfaceVersion(manifestWith({'interface-version': '6'})), 6)
  for (const text of ['six', '', '6.0']) {
    const manifest = manifestWith({'interface-version': text})
    assert.throws(() => interfaceVersion(manifest), {code: 'RKT_STAGE1_INTERFACE', message: 'error parsing interface version'}, text)
  }
})

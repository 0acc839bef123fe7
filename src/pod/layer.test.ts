import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {Layer} from './layer.ts'

class Scratch implements Disposable {
  readonly path = mkdtempSync('/tmp/rkt-layer-')
  readonly lower = join(this.path, 'lower')
  readonly upper = join(this.path, 'upper')

  constructor() {
    mkdirSync(join(this.lower, 'etc/deep'), {recursive: true})
    chmodSync(this.lower, 0o711)
    chmodSync(join(this.lower, 'etc'), 0o1777)
    chownSync(join(this.lower, 'etc'), 7, 8)
  }

  /** Mode, owner and group of a path of the upper directory. */
  looks(name: string): [mode: string, uid: number, gid: number] {
    const {gid, mode, uid} = lstatSync(join(this.upper, name))
    return [(mode & 0o7777).toString(8), uid, gid]
  }

  [Symbol.dispose](): void {
    rmSync(this.path, {recursive: true})
  }
}

test('directories of an upper layer look like the lower ones that they are merged with', () => {
  using scratch = new Scratch()
  const before = process.umask(0o077)
  try {
    const layer = Layer.upper(scratch.upper, scratch.lower)
    layer.directory('etc/deep/new')
    layer.file('etc/deep/new/file', 'text', 0o644)
  } finally {
    process.umask(before)
  }
  assert.deepEqual(scratch.looks(''), ['711', 0, 0])
  assert.deepEqual(scratch.looks('etc'), ['1777', 7, 8])
  assert.deepEqual(scratch.looks('etc/deep'), ['755', 0, 0])
  assert.deepEqual(scratch.looks('etc/deep/new'), ['755', 0, 0])
  assert.deepEqual(scratch.looks('etc/deep/new/file'), ['644', 0, 0])
})

test('what is asked about a layer is answered for the merged tree, links not followed', () => {
  using scratch = new Scratch()
  symlinkSync('etc', join(scratch.lower, 'link'))
  const layer = Layer.upper(scratch.upper, scratch.lower)
  assert.ok(layer.stat('etc')?.isDirectory())
  assert.ok(layer.stat('link')?.isSymbolicLink())
  assert.equal(layer.stat('none'), undefined)
  layer.link('own', 'target')
  assert.ok(layer.stat('own')?.isSymbolicLink())
})

test('a link in a copied tree does not lead a write out of it', () => {
  using scratch = new Scratch()
  const outside = join(scratch.path, 'outside')
  mkdirSync(outside)
  symlinkSync(outside, join(scratch.lower, 'rkt'))
  const layer = Layer.copy(scratch.lower)
  assert.throws(() => layer.directory('rkt/status'), {code: 'RKT_POD_TREE'})
  assert.throws(() => lstatSync(join(outside, 'status')), {code: 'ENOENT'})
})

test('a link that stands where a file is written is replaced, its target untouched', () => {
  using scratch = new Scratch()
  const secret = join(scratch.path, 'secret')
  writeFileSync(secret, 'kept')
  symlinkSync(secret, join(scratch.lower, 'etc/rkt-resolv.conf'))
  const layer = Layer.copy(scratch.lower)
  layer.file('etc/rkt-resolv.conf', 'new', 0o644)
  assert.equal(readFileSync(secret, 'utf8'), 'kept')
  assert.throws(() => readlinkSync(join(scratch.lower, 'etc/rkt-resolv.conf')), {code: 'EINVAL'})
})

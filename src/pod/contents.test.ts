import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {PodContents} from './contents.ts'

class Scratch implements Disposable {
  readonly path = mkdtempSync('/tmp/rkt-contents-')

  write(name: string, content: string): string {
    const path = join(this.path, name)
    mkdirSync(join(path, '..'), {recursive: true})
    writeFileSync(path, content)
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.path, {recursive: true})
  }
}

const tree = `deps-sha512-${'0'.repeat(64)}`

/** A pod that uses overlays, whose stage1 has written a status. */
function overlayPod(scratch: Scratch): string {
  scratch.write('overlay-prepared', '')
  scratch.write('stage1TreeStoreID', tree)
  return scratch.write(`overlay/${tree}/upper/rkt/status/web`, '7\n')
}

test('the status of an app is read from the upper directory of an overlay pod, which needs no mount', () => {
  using scratch = new Scratch()
  overlayPod(scratch)
  assert.equal(new PodContents(scratch).exitStatus('web'), 7)
  assert.equal(new PodContents(scratch).exitStatus('other'), undefined)
})

test('the status of an app is read from the copy of stage1 where the pod uses no overlay', () => {
  using scratch = new Scratch()
  scratch.write('stage1/rootfs/rkt/status/web', '203')
  assert.equal(new PodContents(scratch).exitStatus('web'), 203)
})

test('a status that the pod has replaced by something else is no status, and harms nobody', async (t) => {
  const attacks: Record<string, (path: string, scratch: Scratch) => void> = {
    'a fifo that would block its reader': (path) => execFileSync('mkfifo', [path]),
    'a link to a file of the host': (path, scratch) => symlinkSync(scratch.write('secret', '42'), path),
    'a directory': (path) => mkdirSync(path),
    'more bytes than a number has': (path) => writeFileSync(path, '1'.repeat(1 << 20)),
    'no number': (path) => writeFileSync(path, 'zero'),
    nothing: (path) => writeFileSync(path, ''),
  }
  for (const [what, replace] of Object.entries(attacks)) {
    await t.test(what, () => {
      using scratch = new Scratch()
      const path = overlayPod(scratch)
      rmSync(path)
      replace(path, scratch)
      assert.equal(new PodContents(scratch).exitStatus('web'), undefined)
    })
  }
})

test('a link on the way to the status does not lead the reader out of the pod', () => {
  using scratch = new Scratch()
  overlayPod(scratch)
  scratch.write('elsewhere/web', '42')
  const directory = join(scratch.path, `overlay/${tree}/upper/rkt/status`)
  rmSync(directory, {recursive: true})
  symlinkSync(join(scratch.path, 'elsewhere'), directory)
  assert.equal(new PodContents(scratch).exitStatus('web'), undefined)
})

test('the supervisor is ready when its link says so, and not when a file stands there', () => {
  using scratch = new Scratch()
  overlayPod(scratch)
  const contents = new PodContents(scratch)
  const link = join(scratch.path, `overlay/${tree}/upper/rkt/supervisor-status`)
  assert.equal(contents.isSupervisorReady(), false)
  writeFileSync(link, 'ready')
  assert.equal(contents.isSupervisorReady(), false)
  rmSync(link)
  symlinkSync('ready', link)
  assert.equal(contents.isSupervisorReady(), true)
})

test('a pod was created when its marker says so, else when its manifest was written', () => {
  using scratch = new Scratch()
  const contents = new PodContents(scratch)
  assert.equal(contents.createdAt(), undefined)
  utimesSync(scratch.write('pod', '{}'), 1, 1)
  assert.equal(contents.createdAt(), 1_000_000_000n)
  utimesSync(scratch.write('pod-created', ''), 2, 2)
  assert.equal(contents.createdAt(), 2_000_000_000n)
})

test('pid comes before ppid, for the start time too', () => {
  using scratch = new Scratch()
  const contents = new PodContents(scratch)
  assert.equal(contents.startedAt(), undefined)
  utimesSync(scratch.write('ppid', '12\n'), 3, 3)
  assert.deepEqual([contents.pid(), contents.ownPid(), contents.startedAt()], [12, undefined, 3_000_000_000n])
  utimesSync(scratch.write('pid', '34\n'), 4, 4)
  assert.deepEqual([contents.pid(), contents.ownPid(), contents.startedAt()], [34, 34, 4_000_000_000n])
})

test('networks are those of net-info.json; none, null and no file are none', () => {
  using scratch = new Scratch()
  const contents = new PodContents(scratch)
  assert.deepEqual(contents.networks(), [])
  scratch.write('net-info.json', 'null\n')
  assert.deepEqual(contents.networks(), [])
  const network = {
    args: '',
    ifName: 'eth0',
    ip: '172.16.28.2',
    mask: '255.255.255.0',
    netConf: 'net/99-default.conf',
    netName: 'default',
    pluginPath: 'ptp',
  }
  scratch.write('net-info.json', JSON.stringify([network]))
  assert.deepEqual(contents.networks(), [network])
})

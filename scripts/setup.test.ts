import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {test} from 'node:test'

const setup = resolve(import.meta.dirname, 'setup.mjs')

/** Runs the set-up where only the given programs exist, each a shell script. */
function setupWith(
  programs: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  asNobody = false,
): {lines: string[]; status: number | null} {
  const directory = mkdtempSync(join(tmpdir(), 'rkt-setup-'))
  try {
    chmodSync(directory, 0o755)
    for (const [name, script] of Object.entries(programs)) writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, {mode: 0o755})
    symlinkSync('/bin/sh', join(directory, 'sh'))
    const {status, stderr} = spawnSync(process.execPath, [setup, ...args], {
      encoding: 'utf8',
      env: {PATH: directory},
      ...(asNobody ? {gid: 65534, uid: 65534} : {}),
    })
    return {lines: stderr.trimEnd().split('\n'), status}
  } finally {
    rmSync(directory, {recursive: true})
  }
}

const good = {cargo: 'exit 0', cc: 'exit 0', npm: 'exit 0', rustc: 'echo rustc 1.95.0', unshare: 'exit 0'}

test('each tool that is missing gets one sentence that names it and says what to do', () => {
  const {lines, status} = setupWith({})

  assert.equal(status, 1)
  assert.equal(lines.length, 3, lines.join('\n'))
  for (const [at, tool] of ['npm', 'cargo', 'cc'].entries())
    assert.match(lines[at] ?? '', new RegExp(`^setup: ${tool}\\b.* is missing; install `))
})

test('a Rust that is too old is named with its version', () => {
  const {lines, status} = setupWith({...good, rustc: 'echo "rustc 1.70.0 (abc 2023-05-31)"'})

  assert.deepEqual([lines, status], [['setup: rustc 1.70 is too old; update Rust to 1.88 or newer (rustup update).'], 1])
})

test('who is not root is told before anything is built', {skip: process.getuid?.() === 0 ? false : 'needs root to become nobody'}, () => {
  const {lines, status} = setupWith(good, ['--test'], true)

  assert.deepEqual([lines, status], [['setup: pods need root and this user is not; run the same command as root (sudo npm ...).'], 1])
})

test('a kernel that refuses namespaces or overlays is told apart', {skip: process.getuid?.() === 0 ? false : 'needs root'}, () => {
  const namespaces = setupWith({...good, unshare: 'echo "unshare: Operation not permitted" >&2; exit 1'}, ['--test'])
  const overlays = setupWith(
    {...good, unshare: 'case "$*" in *overlay*) echo "mount: unknown filesystem type overlay" >&2; exit 32;; esac'},
    ['--test'],
  )

  assert.match(
    namespaces.lines.join('\n'),
    /^setup: the kernel refuses new mount, pid, network, ipc and uts namespaces \(unshare: Operation not permitted\); use /,
  )
  assert.match(
    overlays.lines.join('\n'),
    /^setup: the kernel refuses an overlay mount \(overlayfs\) \(mount: unknown filesystem type overlay\); use /,
  )
  assert.deepEqual([namespaces.status, overlays.status], [1, 1])
})

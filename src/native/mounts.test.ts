import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {closeSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {native, unwrap} from './load.ts'

const rootOnly = process.getuid?.() === 0 ? {} : {skip: 'mounting needs root'}
let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-mounts-'))
})
after(() => rmSync(dir, {force: true, recursive: true}))

/** Runs a script of this file's module in a mount namespace of its own, which the kernel empties afterwards. */
function inNamespace(preparation: string, script: string): unknown {
  const module = `import {native, unwrap} from ${JSON.stringify(join(import.meta.dirname, 'load.ts'))}
    import fs from 'node:fs'
    const dir = process.argv[1]
    const answer = ${script}
    console.log(JSON.stringify(answer))`
  const shell = `${preparation}\nexec "$2" --input-type=module -e "$3" "$1"`
  const words = ['-m', '--propagation', 'private', 'sh', '-euc', shell, 'sh', dir, process.execPath, module]
  return JSON.parse(execFileSync('unshare', words, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit']}))
}

const mountsHere = () => readFileSync('/proc/self/mountinfo', 'utf8')

test('an overlay that works leaves neither a mount nor a file', rootOnly, () => {
  const place = join(dir, 'probe')
  mkdirSync(place)
  const mounts = mountsHere()
  assert.equal(
    inNamespace(
      'mkdir -p "$1/probe"; mount -t tmpfs none "$1/probe"',
      'unwrap(native().probeOverlay(`${dir}/probe`)) ?? fs.readdirSync(`${dir}/probe`).length',
    ),
    0,
  )
  assert.equal(mountsHere(), mounts)
})

test('an overlay as the place of upper directories is refused by its name', rootOnly, () => {
  const preparation = `
    mkdir -p "$1/over"; mount -t tmpfs none "$1/over"; mkdir "$1/over/l" "$1/over/u" "$1/over/w" "$1/over/m"
    mount -t overlay none -o "lowerdir=$1/over/l,upperdir=$1/over/u,workdir=$1/over/w" "$1/over/m"`
  const reason = inNamespace(preparation, '[unwrap(native().probeOverlay(`${dir}/over/m`)), fs.readdirSync(`${dir}/over/m`)]')
  assert.deepEqual(reason, ['unsupported filesystem: overlayfs', []])
})

test('a place that cannot be written is a failure that names it, not a reason', rootOnly, () => {
  const failure = inNamespace('mkdir -p "$1/ro"; mount -t tmpfs -o ro none "$1/ro"', 'native().probeOverlay(`${dir}/ro`)')
  assert.deepEqual(failure, {failure: {code: 'RKT_OVERLAY_PROBE', errno: 30, message: `cannot write ${dir}/ro`}})
})

test('a view shows the highest of several directories and cannot be written', rootOnly, () => {
  for (const name of ['top', 'bottom']) mkdirSync(join(dir, 'view', name), {recursive: true})
  writeFileSync(join(dir, 'view/top/both'), 'top')
  writeFileSync(join(dir, 'view/bottom/both'), 'bottom')
  writeFileSync(join(dir, 'view/bottom/below'), 'bottom')
  const mounts = mountsHere()

  const fd = unwrap(native().overlayView([join(dir, 'view/top'), join(dir, 'view/bottom')]))
  const view = `/proc/self/fd/${fd}`
  assert.deepEqual(readdirSync(view).sort(), ['below', 'both'])
  assert.equal(readFileSync(join(view, 'both'), 'utf8'), 'top')
  assert.throws(() => writeFileSync(join(view, 'new'), ''), {code: 'EROFS'})
  assert.equal(mountsHere(), mounts, 'nothing is mounted where others see it')
  closeSync(fd)
})

test('a view of one directory is that directory, read-only; a writable one beside it stays writable', rootOnly, () => {
  const only = join(dir, 'only')
  mkdirSync(only)
  writeFileSync(join(only, 'file'), 'content')

  const fd = unwrap(native().overlayView([only]))
  assert.equal(readFileSync(`/proc/self/fd/${fd}/file`, 'utf8'), 'content')
  assert.throws(() => writeFileSync(`/proc/self/fd/${fd}/new`, ''), {code: 'EROFS'})
  writeFileSync(join(only, 'new'), '')
  assert.ok(statSync(`/proc/self/fd/${fd}/new`).isFile())
  closeSync(fd)
})

test(
  'layers with names longer than the kernel takes in one value, or with its separators in them, are shown all the same',
  rootOnly,
  () => {
    const long = join(dir, 'long', 'n'.repeat(200), 'm'.repeat(200))
    const odd = join(dir, 'a:b,c\\d "e')
    for (const folder of [long, odd]) mkdirSync(folder, {recursive: true})
    writeFileSync(join(long, 'one'), '')
    writeFileSync(join(odd, 'two'), '')

    const fd = unwrap(native().overlayView([long, odd]))
    assert.deepEqual(readdirSync(`/proc/self/fd/${fd}`).sort(), ['one', 'two'])
    closeSync(fd)
  },
)

test('a layer that is missing is named', rootOnly, () => {
  assert.throws(() => unwrap(native().overlayView([join(dir, 'gone'), dir])), /cannot lay an overlay over .*\/gone/)
})

test('what is left mounted below a directory is detached deepest first, and nothing beside it', rootOnly, () => {
  const preparation = `
    mkdir -p "$1/left"; mount -t tmpfs none "$1/left"
    mkdir -p "$1/left/pod/a b" "$1/left/podium"
    mount -t tmpfs none "$1/left/pod/a b"; mkdir "$1/left/pod/a b/deep"; mount -t tmpfs none "$1/left/pod/a b/deep"
    mount -t tmpfs again "$1/left/pod/a b/deep"
    mount -t tmpfs none "$1/left/podium"`
  const script = `[
    unwrap(native().unmountBelow(dir + '/left/pod')),
    unwrap(native().unmountBelow(dir + '/left/pod')),
    fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').filter((line) => line.includes(dir)).length,
  ]`
  const deep = `${dir}/left/pod/a b/deep`
  assert.deepEqual(inNamespace(preparation, script), [[deep, deep, `${dir}/left/pod/a b`], [], 2])
})

test('a busy mount is detached too', rootOnly, () => {
  const preparation = 'mkdir -p "$1/busy/m"; mount -t tmpfs none "$1/busy/m"; echo >"$1/busy/m/file"; exec 9<"$1/busy/m/file"'
  assert.deepEqual(inNamespace(preparation, 'unwrap(native().unmountBelow(`${dir}/busy`))'), [join(dir, 'busy/m')])
})

test('detaching a mount that is shared with another namespace leaves it there', rootOnly, () => {
  const shell = `
    mkdir -p "$1/shared/m"; mount -t tmpfs none "$1/shared/m"; mount --make-shared "$1/shared/m"
    unshare -m --propagation unchanged "$2" --input-type=module -e "$3" "$1/shared" >/dev/null
    grep -c "$1/shared/m" /proc/self/mountinfo`
  const module = `import {native} from ${JSON.stringify(join(import.meta.dirname, 'load.ts'))}
    console.log(native().unmountBelow(process.argv[1]))`
  const words = ['-m', '--propagation', 'private', 'sh', '-euc', shell, 'sh', dir, process.execPath, module]
  assert.equal(spawnSync('unshare', words, {encoding: 'utf8'}).stdout, '1\n')
})

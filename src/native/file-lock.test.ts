import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {causeChain, RktError} from '../errors.ts'
import {FileLock} from './file-lock.ts'

let dir = ''
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-lock-'))
})
after(() => rmSync(dir, {recursive: true}))

/** Another process that holds a lock until its stdin ends. */
async function holder(path: string, mode: string) {
  const script = `
    import {FileLock} from ${JSON.stringify(join(import.meta.dirname, 'file-lock.ts'))}
    const lock = FileLock.tryAcquire(${JSON.stringify(path)}, ${JSON.stringify(mode)})
    console.log(lock ? 'locked' : 'busy')
    process.stdin.on('end', () => process.exit()).resume()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {stdio: ['pipe', 'pipe', 'inherit']})
  const [answer] = await once(child.stdout, 'data')
  assert.equal(String(answer), 'locked\n')
  return {
    kill: () => child.kill('SIGKILL'),
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

const failsWith = (...messages: string[]) => {
  return (error: unknown) => error instanceof RktError && assert.deepEqual(causeChain(error), messages) === undefined
}

test('an exclusive lock of another process keeps everybody out until that process ends, however it ends', async () => {
  const path = join(dir, 'exclusive')
  writeFileSync(path, '')
  await using other = await holder(path, 'exclusive')

  assert.equal(FileLock.tryAcquire(path, 'exclusive'), null)
  assert.equal(FileLock.tryAcquire(path, 'shared'), null)

  other.kill()
  using lock = await FileLock.acquire(path, 'exclusive', {timeoutMs: 5000})
  assert.ok(lock.fd > 2)
})

test('a directory is locked like a file, and shared locks stand beside each other', async () => {
  const path = join(dir, 'pod')
  mkdirSync(path)
  await using _other = await holder(path, 'shared')

  using lock = FileLock.tryAcquire(path, 'shared')
  assert.ok(lock)
  assert.equal(FileLock.tryAcquire(path, 'exclusive'), null)
})

test('a lock travels with the directory that is renamed', () => {
  const path = join(dir, 'embryo')
  mkdirSync(path)
  using lock = FileLock.tryAcquire(path, 'exclusive')
  renameSync(path, join(dir, 'prepare'))

  assert.ok(lock)
  assert.equal(FileLock.tryAcquire(join(dir, 'prepare'), 'shared'), null)
})

test('a released lock is free, and releasing it again does not close the descriptor of somebody else', () => {
  const path = join(dir, 'twice')
  writeFileSync(path, '')
  const lock = FileLock.tryAcquire(path, 'exclusive')
  lock?.release()
  using next = FileLock.tryAcquire(path, 'exclusive')
  lock?.release()

  assert.ok(next)
  assert.equal(FileLock.tryAcquire(path, 'shared'), null)
})

test('a held lock changes its mode', () => {
  const path = join(dir, 'convert')
  writeFileSync(path, '')
  using lock = FileLock.tryAcquire(path, 'exclusive')

  assert.ok(lock?.convert('shared'))
  using beside = FileLock.tryAcquire(path, 'shared')
  assert.ok(beside)
  assert.equal(lock?.convert('exclusive'), false)
})

test('a lock file is made with a mode that the group can use, whatever the umask', () => {
  const path = join(dir, 'made')
  const before = process.umask(0o077)
  try {
    using lock = FileLock.tryAcquire(path, 'exclusive', {create: true})
    assert.ok(lock)
  } finally {
    process.umask(before)
  }
  assert.equal(statSync(path).mode & 0o777, 0o660)
})

test('a lock of a file that was deleted meanwhile is not taken for the lock of the path', async () => {
  const path = join(dir, 'replaced')
  writeFileSync(path, '')
  const old = FileLock.tryAcquire(path, 'exclusive')
  const waiting = FileLock.acquire(path, 'exclusive', {create: true, timeoutMs: 5000})
  rmSync(path)
  old?.release()

  using lock = await waiting
  assert.equal(statSync(path).ino, statSync(`/proc/self/fd/${lock.fd}`).ino)
})

test('waiting is bounded and says that the file is locked', async () => {
  const path = join(dir, 'bounded')
  writeFileSync(path, '')
  using _held = FileLock.tryAcquire(path, 'exclusive')
  const started = performance.now()

  await assert.rejects(FileLock.acquire(path, 'exclusive', {timeoutMs: 80}), failsWith(`cannot lock ${path}`, 'file already locked'))
  assert.ok(performance.now() - started < 2000)
})

test('twelve waiters leave the thread pool to the holder', async () => {
  const path = join(dir, 'pool')
  writeFileSync(path, 'content')
  const held = FileLock.tryAcquire(path, 'exclusive')
  const waiters = Array.from({length: 12}, () => FileLock.acquire(path, 'shared', {timeoutMs: 5000}))

  const {readFile} = await import('node:fs/promises')
  assert.equal(await readFile(path, 'utf8'), 'content')

  held?.release()
  for (const lock of await Promise.all(waiters)) lock.release()
})

test('what cannot be locked is named with its reason', () => {
  const missing = join(dir, 'missing')
  assert.throws(() => FileLock.tryAcquire(missing, 'shared'), failsWith(`cannot lock ${missing}`, 'file does not exist'))
  assert.equal(existsSync(missing), false)

  const link = join(dir, 'link')
  symlinkSync('/etc/passwd', link)
  assert.throws(() => FileLock.tryAcquire(link, 'shared'), failsWith(`cannot lock ${link}`, 'not a regular file'))

  const folder = join(dir, 'folder')
  mkdirSync(folder)
  const options = {create: true}
  assert.throws(() => FileLock.tryAcquire(folder, 'shared', options), failsWith(`cannot lock ${folder}`, 'not a regular file'))
})

test('a lock is not inherited by programs that are started', () => {
  const path = join(dir, 'cloexec')
  writeFileSync(path, '')
  using lock = FileLock.tryAcquire(path, 'exclusive')

  const flags = /flags:\t(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${lock?.fd}`, 'utf8'))?.[1]
  assert.equal(Number.parseInt(flags ?? '', 8) & 0o2000000, 0o2000000)
})

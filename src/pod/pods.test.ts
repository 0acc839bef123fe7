import assert from 'node:assert/strict'
import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import type {Diagnostics} from '../diagnostics.ts'
import {isHeld, Pods} from './pods.ts'
import {type PodDirectory, podDirectories} from './state.ts'
import type {PodUuid} from './uuid.ts'

const uuid = '71a713a3-c583-4798-85a2-f8a7e602aac9' as PodUuid

/** A data directory with a pod in one of its directories, and what was noted about it. */
class Scratch implements Disposable {
  readonly dataDir = mkdtempSync('/tmp/rkt-pods-')
  readonly notes: string[] = []
  readonly pods: Pods

  constructor() {
    const diagnostics: Diagnostics = {debug() {}, note: (_, line) => this.notes.push(line)}
    this.pods = new Pods(this.dataDir, diagnostics)
  }

  place(directory: PodDirectory, name: string = uuid): string {
    const path = join(this.pods.root, directory, name)
    mkdirSync(path, {recursive: true})
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.dataDir, {recursive: true})
  }
}

test('pods are born in a data directory only when all the others that they move on to are there', () => {
  using scratch = new Scratch()
  mkdirSync(scratch.pods.root)
  writeFileSync(join(scratch.pods.root, 'prepare'), 'in the way')

  assert.throws(() => scratch.pods.create())
  assert.ok(!existsSync(join(scratch.pods.root, 'embryo')))

  rmSync(join(scratch.pods.root, 'prepare'))
  using pod = scratch.pods.create()
  assert.equal(pod.directory, 'prepare')
})

/** Another process that holds the lock of a directory exclusively until it is killed. */
class Holder implements AsyncDisposable {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async of(path: string): Promise<Holder> {
    const script = `
      import {FileLock} from '${new URL('../native/index.ts', import.meta.url)}'
      const lock = FileLock.tryAcquire(process.argv[1], 'exclusive')
      process.stdout.write(lock ? 'held' : 'refused')
      setInterval(() => lock?.fd, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {stdio: ['ignore', 'pipe', 'inherit']})
    const holder = new Holder(child)
    const [answer]: [Buffer] = (await once(child.stdout, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'held')
    return holder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}

const documented: readonly [PodDirectory, held: string, free: string][] = [
  ['embryo', 'embryo', 'embryo'],
  ['prepare', 'preparing', 'aborted prepare'],
  ['prepared', 'prepared', 'prepared'],
  ['run', 'running', 'exited'],
  ['exited-garbage', 'exited deleting', 'exited garbage'],
  ['garbage', 'deleting', 'garbage'],
]

for (const [directory, held, free] of documented) {
  test(`a pod in ${directory} is "${held}" while a process holds its lock, and "${free}" when that process was killed`, async () => {
    using scratch = new Scratch()
    const path = scratch.place(directory)

    {
      await using _holder = await Holder.of(path)
      assert.equal(scratch.pods.inspect(uuid)?.state, held)
    }

    assert.equal(scratch.pods.inspect(uuid)?.state, free)
  })
}

test('of several places the first in the order of life counts', () => {
  using scratch = new Scratch()
  scratch.place('garbage')
  scratch.place('prepared')

  assert.equal(scratch.pods.inspect(uuid)?.state, 'prepared')
})

test('a pod that is nowhere has no state', () => {
  using scratch = new Scratch()
  assert.equal(scratch.pods.inspect(uuid), undefined)
  assert.throws(() => scratch.pods.get(uuid), {message: 'problem retrieving pod'})
})

test('listing makes the six directories, mode 0750 whatever the umask', () => {
  using scratch = new Scratch()
  const before = process.umask(0o077)
  try {
    assert.deepEqual(scratch.pods.list(podDirectories), [])
  } finally {
    process.umask(before)
  }
  assert.deepEqual(readdirSync(scratch.pods.root).sort(), [...podDirectories].sort())
  for (const directory of podDirectories) assert.equal(statSync(join(scratch.pods.root, directory)).mode & 0o7777, 0o750)
})

test('pods are listed by UUID, each once, and what is no pod is said', () => {
  using scratch = new Scratch()
  const earlier = '0b0e0f00-0000-4000-8000-000000000000'
  scratch.place('run', earlier)
  scratch.place('prepared')
  scratch.place('run', 'not-a-uuid')
  writeFileSync(join(scratch.pods.root, 'run', 'file'), '')

  const listed = scratch.pods.list(['prepared', 'run'])

  assert.deepEqual(
    listed.map((pod) => [pod.uuid, pod.state]),
    [
      [earlier, 'exited'],
      [uuid, 'prepared'],
    ],
  )
  assert.deepEqual(scratch.notes.sort(), ['skipping "not-a-uuid": not a UUID', 'unrecognized entry: "file", ignoring'])
})

test('UUIDs resolve among pods that a user can name, not among embryos and garbage', () => {
  using scratch = new Scratch()
  for (const directory of ['embryo', 'garbage'] as const) {
    const path = scratch.place(directory)
    assert.throws(() => scratch.pods.resolve('71a7'), {message: 'no matches found for "71a7"'})
    rmSync(path, {recursive: true})
  }
  scratch.place('exited-garbage')
  assert.equal(scratch.pods.resolve('71A7'), uuid)
})

test('a new pod is in prepare, held, and takes its lock with it over every rename', async () => {
  using scratch = new Scratch()
  using pod = scratch.pods.create()
  assert.equal(scratch.pods.inspect(pod.uuid)?.state, 'preparing')

  const running = pod.moveTo('run')

  assert.equal(scratch.pods.inspect(pod.uuid)?.state, 'running')
  assert.equal(statSync(running.path).mode & 0o7777, 0o750)
  running.release()
  assert.equal(scratch.pods.inspect(pod.uuid)?.state, 'exited')
})

test('a pod that somebody holds cannot be held by another, and is not waited for', async () => {
  using scratch = new Scratch()
  const path = scratch.place('run')
  await using _holder = await Holder.of(path)
  const begin = performance.now()

  assert.equal(await scratch.pods.hold(uuid, 'run'), null)

  assert.ok(performance.now() - begin < 1000)
})

test('holding a pod fails softly when it has moved on', async () => {
  using scratch = new Scratch()
  scratch.place('run')
  assert.equal(await scratch.pods.hold(uuid, 'prepared'), null)
  using held = await scratch.pods.hold(uuid, 'run')
  assert.ok(held && existsSync(held.path))
  assert.equal(isHeld(held.path), true)
})

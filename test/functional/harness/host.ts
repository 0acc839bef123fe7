/** A host of a test's own: a data directory, configuration directories and the built rkt, all gone when the test ends. */
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import {eventually, patience, type Result, Running, type RunOptions, runProgram} from './processes.ts'

export const checkout = resolve(import.meta.dirname, '../../..')
export const rktProgram = join(checkout, 'bin/rkt')

/** A host for one test. Only inside the namespaces of the functional suite: on the machine itself it would leave traces. */
export async function aHost(): Promise<Host> {
  if (process.env.RKT_TEST_NAMESPACES === undefined) throw new Error('functional tests run in namespaces of their own: npm test -- FILE')
  assert.ok(existsSync(rktProgram), 'bin/rkt is not built: npm run build')
  return new Host(mkdtempSync('/tmp/rkt-host-'))
}

export interface RktOptions extends RunOptions {
  /** Global options instead of the host's own (data and configuration directories, no signatures). */
  readonly globals?: readonly string[]
}

export interface PodOptions extends RktOptions {
  /** Whether to wait until the pod's supervisor is ready. */
  readonly ready?: boolean
}

export class Host implements AsyncDisposable {
  readonly dir: string
  readonly dataDir: string
  readonly localConfig: string
  readonly systemConfig: string
  readonly userConfig: string
  /** What stands before every rkt: a command that starts it in another namespace. */
  within: readonly string[] = []
  readonly #running: Running[] = []
  #counter = 0

  constructor(dir: string) {
    this.dir = dir
    this.dataDir = join(dir, 'data')
    this.localConfig = join(dir, 'local')
    this.systemConfig = join(dir, 'system')
    this.userConfig = join(dir, 'user')
  }

  /** The global options that every command of this host gets. */
  get globals(): string[] {
    return [
      `--dir=${this.dataDir}`,
      `--local-config=${this.localConfig}`,
      `--system-config=${this.systemConfig}`,
      '--insecure-options=image',
    ]
  }

  /** Runs rkt to its end. */
  async rkt(args: readonly string[], {globals = this.globals, ...options}: RktOptions = {}): Promise<Result> {
    return await runProgram([...this.within, rktProgram, ...globals, ...args], options)
  }

  /** Runs rkt, which must succeed, and answers what it printed. */
  async ok(args: readonly string[], options: RktOptions = {}): Promise<string> {
    const result = await this.rkt(args, options)
    assert.equal(
      result.status,
      0,
      `rkt ${args.join(' ')}: status ${result.status} ${result.signal ?? ''}\n${result.stdout}${result.stderr}`,
    )
    return result.stdout
  }

  /** Runs rkt, which must refuse with its own status 254, and answers what it said on stderr. */
  async refused(args: readonly string[], options: RktOptions = {}): Promise<string> {
    const result = await this.rkt(args, options)
    assert.equal(
      result.status,
      254,
      `rkt ${args.join(' ')}: status ${result.status} ${result.signal ?? ''}\n${result.stdout}${result.stderr}`,
    )
    return result.stderr
  }

  /** Starts rkt beside the test; it is killed when the host is disposed of. */
  start(args: readonly string[], {globals = this.globals, ...options}: RktOptions = {}): Running {
    const running = new Running([...this.within, rktProgram, ...globals, ...args], options)
    this.#running.push(running)
    return running
  }

  /** `rkt run` beside the test, with its UUID, once it runs. */
  async pod(args: readonly string[], {ready = true, ...options}: PodOptions = {}): Promise<RunningPod> {
    const uuidFile = this.path(`uuid-${this.#counter++}`)
    const process = this.start(['run', `--uuid-file-save=${uuidFile}`, ...args], options)
    const uuid = await this.#uuidOf(uuidFile, process)
    const pod = new RunningPod(this, uuid, process)
    if (ready) await this.ok(['status', `--wait-ready=${20 * patience}s`, uuid])
    else await eventually(() => process.ended || existsSync(join(pod.dir, 'pid')) || existsSync(join(pod.dir, 'ppid')), 'the pod to run')
    assert.ok(!process.ended, `the pod ended at once: ${process.stdout}${process.stderr}`)
    return pod
  }

  async #uuidOf(file: string, process: Running): Promise<string> {
    return await eventually(() => {
      if (process.ended && !existsSync(file)) throw new Error(`rkt run ended before there was a pod: ${process.stdout}${process.stderr}`)
      // Written in two steps: empty at first.
      return existsSync(file) && (readFileSync(file, 'utf8').trim() || undefined)
    }, 'the UUID of the pod')
  }

  /** A path in the host's own directory. */
  path(...names: string[]): string {
    return join(this.dir, ...names)
  }

  /** Writes a file below the host's directory, its parents made, and answers its path. */
  write(name: string, content: string | Uint8Array, mode = 0o644): string {
    const path = this.path(name)
    mkdirSync(dirname(path), {recursive: true})
    writeFileSync(path, content, {mode})
    return path
  }

  /** UUIDs of the pods that lie in a directory of the life cycle. */
  podsIn(state: 'embryo' | 'prepare' | 'prepared' | 'run' | 'exited-garbage' | 'garbage'): string[] {
    const directory = join(this.dataDir, 'pods', state)
    return existsSync(directory) ? readdirSync(directory).sort() : []
  }

  /** Every pod directory that is left, as STATE/UUID. */
  pods(): string[] {
    const directory = join(this.dataDir, 'pods')
    if (!existsSync(directory)) return []
    return readdirSync(directory).flatMap((state) => readdirSync(join(directory, state)).map((uuid) => `${state}/${uuid}`))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((running) => running[Symbol.asyncDispose]()))
    rmSync(this.dir, {force: true, maxRetries: 3, recursive: true})
  }
}

/** A pod that `rkt run` became; `process` is rkt's process, which is the pod's. */
export class RunningPod {
  readonly uuid: string
  readonly process: Running
  readonly #host: Host

  constructor(host: Host, uuid: string, process: Running) {
    this.uuid = uuid
    this.process = process
    this.#host = host
  }

  get dir(): string {
    return join(this.#host.dataDir, 'pods/run', this.uuid)
  }

  /** The `key=value` lines of `rkt status`. */
  async status(): Promise<Record<string, string>> {
    const lines = (await this.#host.ok(['status', this.uuid])).trim().split('\n')
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
  }

  /** Runs a command inside an app of the pod and answers what it printed. */
  async enter(...command: string[]): Promise<string> {
    return await this.#host.ok(['enter', this.uuid, ...command])
  }

  /** Pid 1 of the pod, as the host counts. */
  async initPid(): Promise<number> {
    const {pid} = await this.status()
    assert.match(pid ?? '', /^\d+$/)
    return Number(pid)
  }

  async stop(...options: string[]): Promise<Result> {
    await this.#host.ok(['stop', ...options, this.uuid])
    return await this.process.exit
  }
}

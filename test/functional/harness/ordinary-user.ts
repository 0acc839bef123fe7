/** An ordinary user of the machine, as far as the files of the tests' own mount namespace make one. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {rktProgram} from './host.ts'
import {eventually, type Result, Running, type RunOptions, runProgram} from './processes.ts'

/** Covers a file of /etc with the tests' own, once, and answers its path. */
function ownFile(path: string): string {
  const own = join('/tmp/rkt-etc', path.slice('/etc/'.length))
  if (existsSync(own)) return own
  mkdirSync('/tmp/rkt-etc', {recursive: true})
  writeFileSync(own, existsSync(path) ? readFileSync(path) : '', {mode: 0o644})
  if (!existsSync(path)) writeFileSync(path, '')
  execFileSync('mount', ['--bind', own, path])
  return own
}

const append = (path: string, line: string) => writeFileSync(ownFile(path), `${readFileSync(ownFile(path), 'utf8').trimEnd()}\n${line}\n`)

export interface UserOptions {
  /** How many ids the administrator gave; 0: the user has no line in /etc/subuid. */
  readonly ids?: number
  /** Beside their own. */
  readonly groups?: readonly number[]
}

/** Number of the next user; each test process has its own hundred. */
let next = 20_000 + (process.pid % 300) * 100

export class OrdinaryUser implements AsyncDisposable {
  readonly uid: number
  readonly home: string
  readonly base: number
  readonly #groups: readonly number[]
  readonly #running: Running[] = []

  constructor({groups = [], ids = 65536}: UserOptions = {}) {
    this.uid = next++
    this.base = 1_000_000_000 + (this.uid - 20_000) * 65536
    this.#groups = groups
    this.home = mkdtempSync('/tmp/rkt-home-')
    chownSync(this.home, this.uid, this.uid)
    append('/etc/passwd', `user${this.uid}:x:${this.uid}:${this.uid}::${this.home}:/bin/sh`)
    append('/etc/group', `user${this.uid}:x:${this.uid}:`)
    if (ids > 0) for (const path of ['/etc/subuid', '/etc/subgid']) append(path, `user${this.uid}:${this.base}:${ids}`)
  }

  get dataDir(): string {
    return join(this.home, '.local/share/rkt')
  }

  /** The command that is this one as this user. */
  as(command: readonly string[]): string[] {
    const groups = this.#groups.length > 0 ? [`--groups=${this.#groups.join(',')}`] : ['--clear-groups']
    return ['setpriv', `--reuid=${this.uid}`, `--regid=${this.uid}`, ...groups, '--inh-caps=-all', ...command]
  }

  /** The command that is rkt as this user. */
  command(words: readonly string[]): string[] {
    return this.as([rktProgram, ...words])
  }

  /** In a home of the user's, and without what the session of the tests says. */
  options({env, ...options}: RunOptions = {}): RunOptions {
    const own = {HOME: this.home, USER: `user${this.uid}`, XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined, XDG_RUNTIME_DIR: undefined}
    return {cwd: '/', ...options, env: {...own, ...env}}
  }

  /** Runs rkt as this user. */
  async rkt(words: readonly string[], options: RunOptions = {}): Promise<Result> {
    return await runProgram(this.command(['--insecure-options=image', ...words]), this.options(options))
  }

  /** The same, which must succeed, and what it printed. */
  async ok(words: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.rkt(words, options)
    assert.equal(
      result.status,
      0,
      `rkt ${words.join(' ')}: status ${result.status} ${result.signal ?? ''}\n${result.stdout}${result.stderr}`,
    )
    return result.stdout
  }

  /** A pod beside the test, ready. */
  async pod(words: readonly string[]): Promise<{readonly uuid: string; readonly process: Running}> {
    const file = join(this.home, 'uuid')
    rmSync(file, {force: true})
    const process = new Running(this.command(['--insecure-options=image', 'run', `--uuid-file-save=${file}`, ...words]), this.options({}))
    this.#running.push(process)
    const uuid = await eventually(() => {
      if (process.ended) throw new Error(`rkt run ended: ${process.stdout}${process.stderr}`)
      return existsSync(file) && readFileSync(file, 'utf8')
    }, 'the UUID of the pod')
    await this.ok(['status', '--wait-ready=20s', uuid])
    return {process, uuid}
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((running) => running[Symbol.asyncDispose]()))
    rmSync(this.home, {force: true, recursive: true})
  }
}

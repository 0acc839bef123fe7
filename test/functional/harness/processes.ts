/** Programs as tests start them: to their end with all that they said, or beside the test until it is disposed of. */
import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'

export interface Result {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  /** Added to the environment of the tests; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly input?: string | Buffer
  /** SIGKILL after so long: a test waits for no program forever. */
  readonly timeoutMs?: number
}

/** How many times longer everything may take: on a machine that is emulated. */
export const patience = Number(process.env.RKT_TEST_PATIENCE ?? 1)

/** A started program. Its output is kept as it comes; disposing of it kills it. */
export class Running implements AsyncDisposable {
  readonly exit: Promise<Result>
  readonly #child: ChildProcess
  readonly #output = {stderr: '', stdout: ''}
  #ended = false

  constructor(command: readonly string[], {cwd, env, input, timeoutMs = 60_000}: RunOptions = {}) {
    const [program = '', ...args] = command
    this.#child = spawn(program, args, {
      env: {...process.env, ...env},
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : {cwd}),
    })
    for (const name of ['stdout', 'stderr'] as const) {
      this.#child[name]?.setEncoding('utf8').on('data', (text: string) => {
        this.#output[name] += text
      })
    }
    this.#child.stdin?.on('error', () => {}).end(input)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs * patience)
    // A process that the program left behind may hold the pipes open: nobody waits for it.
    this.#child.on('exit', () => {
      setTimeout(() => {
        this.#child.stdout?.destroy()
        this.#child.stderr?.destroy()
      }, 2000).unref()
    })
    this.exit = once(this.#child, 'close').then(([status, signal]) => {
      clearTimeout(timer)
      this.#ended = true
      return {...this.#output, signal, status}
    })
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the program could not be started')
    return this.#child.pid
  }

  get ended(): boolean {
    return this.#ended
  }

  get stdout(): string {
    return this.#output.stdout
  }

  get stderr(): string {
    return this.#output.stderr
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#child.kill(signal)
  }

  /** The first match in what the program says on stdout, or a failure with all that it said. */
  async says(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpExecArray> {
    return await eventually(
      () => pattern.exec(this.#output.stdout),
      () => `${pattern} in "${this.#output.stdout}", stderr "${this.#output.stderr}"`,
      timeoutMs,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill('SIGKILL')
    await this.exit
  }
}

/** Runs a program to its end. */
export async function runProgram(command: readonly string[], options: RunOptions = {}): Promise<Result> {
  return await new Running(command, options).exit
}

/** Asks every few milliseconds until there is an answer; fails with what was waited for. */
export async function eventually<T>(
  ask: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  what: string | (() => string),
  timeoutMs = 15_000,
): Promise<T> {
  const until = performance.now() + timeoutMs * patience
  for (;;) {
    const answer = await ask()
    if (answer !== null && answer !== undefined && answer !== false) return answer
    if (performance.now() > until) throw new Error(`waited ${timeoutMs} ms for ${typeof what === 'string' ? what : what()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

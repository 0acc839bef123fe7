/** A terminal as a user has one: node-pty around a program. */
import {eventually} from './processes.ts'

type Pty = import('node-pty').IPty

/** Why there are no terminals on this machine; undefined when there are. */
export async function noTerminals(): Promise<string | undefined> {
  return await import('node-pty').then(
    () => undefined,
    () => 'node-pty is not built on this machine',
  )
}

/** A program at a terminal of 80 columns and 24 rows. */
export class Terminal implements AsyncDisposable {
  readonly exit: Promise<number>
  readonly #pty: Pty
  #output = ''
  #read = 0
  #ended = false

  private constructor(pty: Pty) {
    this.#pty = pty
    pty.onData((text) => {
      this.#output += text
    })
    this.exit = new Promise((resolve) => {
      pty.onExit(({exitCode, signal}) => {
        this.#ended = true
        resolve(signal ? 128 + signal : exitCode)
      })
    })
  }

  static async open([program = '', ...args]: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Terminal> {
    const {spawn} = await import('node-pty')
    return new Terminal(spawn(program, args, {cols: 80, env: {...process.env, ...env} as Record<string, string>, rows: 24}))
  }

  get pid(): number {
    return this.#pty.pid
  }

  type(text: string): void {
    this.#pty.write(text)
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows)
  }

  /** The first match in what was shown since the last; what was typed is shown too. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    const match = await eventually(
      () => pattern.exec(this.#output.slice(this.#read)),
      () => `${pattern} in ${JSON.stringify(this.#output.slice(this.#read))}`,
    )
    this.#read += match.index + match[0].length
    return match
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#pty.kill('SIGKILL')
    await this.exit
  }
}

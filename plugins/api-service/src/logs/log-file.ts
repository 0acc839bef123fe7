import {constants} from 'node:fs'
import {type FileHandle, open, stat} from 'node:fs/promises'
import {Joiner, type LogLine, parseLine} from './cri-line.ts'

const chunkBytes = 64 << 10
/** More than the supervisor ever writes in one. */
const maxLineBytes = 64 << 10

/** A log that is read from its beginning on, over its rotation: what was written under the old name is read to its end. */
export class LogFile implements AsyncDisposable {
  readonly app: string
  readonly #path: string
  readonly #joiner = new Joiner()
  #file: FileHandle | undefined
  #offset = 0
  #rest = Buffer.alloc(0)

  constructor(app: string, path: string) {
    this.app = app
    this.#path = path
  }

  /** What was written since the last call, whole lines in batches. Nothing of a file that is not there (yet). */
  async *read(): AsyncGenerator<LogLine[]> {
    for (;;) {
      this.#file ??= await this.#open()
      if (this.#file === undefined) return
      yield* this.#readOpen(this.#file)
      const [now, opened] = await Promise.all([stat(this.#path).catch(() => undefined), this.#file.stat()])
      if (now?.ino === opened.ino && now.dev === opened.dev) {
        if (now.size >= this.#offset) return
        // It was cut to nothing: it begins anew.
        this.#restart()
        continue
      }
      if (now === undefined) return
      yield* this.#readOpen(this.#file)
      await this.#file.close()
      this.#file = undefined
      this.#restart()
    }
  }

  #restart(): void {
    this.#offset = 0
    this.#rest = Buffer.alloc(0)
  }

  async #open(): Promise<FileHandle | undefined> {
    try {
      return await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }

  async *#readOpen(file: FileHandle): AsyncGenerator<LogLine[]> {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (;;) {
      const {bytesRead} = await file.read(chunk, 0, chunkBytes, this.#offset)
      if (bytesRead === 0) return
      this.#offset += bytesRead
      const lines = this.#lines(chunk.subarray(0, bytesRead))
      if (lines.length > 0) yield lines
    }
  }

  #lines(chunk: Buffer): LogLine[] {
    const bytes = Buffer.concat([this.#rest, chunk])
    const end = bytes.lastIndexOf(0x0a)
    this.#rest = Buffer.from(bytes.subarray(end + 1))
    if (this.#rest.length > maxLineBytes) this.#rest = Buffer.alloc(0)
    if (end < 0) return []
    return bytes
      .toString('utf8', 0, end)
      .split('\n')
      .flatMap((line) => {
        const parsed = parseLine(line)
        const whole = parsed && this.#joiner.join(parsed)
        return whole ? [whole] : []
      })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close()
  }
}

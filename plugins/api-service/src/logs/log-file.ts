import {constants} from 'node:fs'
import {type FileHandle, open, readdir, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {Joiner, type LogLine, parseLine} from './cri-line.ts'

const chunkBytes = 64 << 10
/** More than the supervisor ever writes in one. */
const maxLineBytes = 64 << 10

/** A log is `APP.log`; what was put aside before it is `APP.log.1`, before that `APP.log.2`. */
const form = /^(.+)\.log(?:\.(\d{1,2}))?$/

/** The apps that have a log in a directory. */
export const appsOf = (names: readonly string[]): string[] => [...new Set(names.flatMap((name) => form.exec(name)?.[1] ?? []))].sort()

/**
 * An app's log from its oldest line on, over its rotation: each file is read to its end, and then the one that was begun when it was put
 * aside. Reading never holds up others.
 */
export class LogFile implements AsyncDisposable {
  readonly app: string
  readonly #directory: string
  readonly #joiner = new Joiner()
  #file: FileHandle | undefined
  #rest = Buffer.alloc(0)

  constructor(app: string, directory: string) {
    this.app = app
    this.#directory = directory
  }

  /** What was written since the last call, whole lines in batches. Nothing of a log that is not there (yet). */
  async *read(): AsyncGenerator<LogLine[]> {
    this.#file ??= await this.#open((await this.#names()).at(-1))
    while (this.#file !== undefined) {
      yield* this.#readOn(this.#file)
      const next = await this.#successor(this.#file)
      if (next === undefined) return
      // Once more: it was put aside after we had come to its end.
      yield* this.#readOn(this.#file)
      await this.#file.close()
      this.#file = next
    }
  }

  /** Names from the youngest to the oldest; none when the pod has moved on. */
  async #names(): Promise<string[]> {
    const all = await readdir(this.#directory).catch(() => [])
    const number = (name: string) => Number(form.exec(name)?.[2] ?? 0)
    return all.filter((name) => form.exec(name)?.[1] === this.app).sort((a, b) => number(a) - number(b))
  }

  async #open(name: string | undefined): Promise<FileHandle | undefined> {
    if (name === undefined) return undefined
    try {
      return await open(join(this.#directory, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      // Put aside meanwhile, and found by its new name at the next look.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }

  /** The file that was begun when this one was put aside; undefined for the youngest. */
  async #successor(file: FileHandle): Promise<FileHandle | undefined> {
    const {dev, ino} = await file.stat()
    let younger: {readonly ino: number; readonly name: string} | undefined
    for (const name of await this.#names()) {
      const found = await stat(join(this.#directory, name)).catch(() => undefined)
      if (found?.ino === ino && found.dev === dev) break
      if (found) younger = {ino: found.ino, name}
    }
    if (younger === undefined) return undefined
    const next = await this.#open(younger.name)
    if (next === undefined || (await next.stat()).ino === younger.ino) return next
    // It was put aside between the two looks; the next change tells.
    await next.close()
    return undefined
  }

  async *#readOn(file: FileHandle): AsyncGenerator<LogLine[]> {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (;;) {
      const {bytesRead} = await file.read(chunk, 0, chunkBytes, null)
      if (bytesRead === 0) return
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

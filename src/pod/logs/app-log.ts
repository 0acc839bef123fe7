import {constants} from 'node:fs'
import {type FileHandle, open, readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {RktError} from '../../errors.ts'
import {systemError} from '../../native/index.ts'
import {isAbsent} from '../absent.ts'
import {type LogLine, parseLine} from './log-line.ts'

/** What is longer is no line of ours; it is shown cut. */
const maxLine = 64 << 10
const chunkBytes = 64 << 10
const newline = 10

/** A log is `APP.log`; what was put aside before it is `APP.log.1`, before that `APP.log.2`. */
const form = /^(.+)\.log(?:\.(\d{1,2}))?$/

/** The apps that have a log in a directory, which may be absent. */
export async function loggedApps(directory: string): Promise<string[]> {
  const apps = (await namesIn(directory)).flatMap((name) => form.exec(name)?.[1] ?? [])
  return [...new Set(apps)].sort()
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isAbsent(error)) return []
    throw new RktError('RKT_LOG', 'cannot read the logs', {cause: systemError('open', directory, error)})
  }
}

/**
 * An app's log from its oldest line on, over its rotation: each file is read to its end, and then the one that was begun when it was put
 * aside. It is read as hostile: bounded lines, regular files only, no link followed.
 */
export class AppLog implements AsyncDisposable {
  readonly #directory: string
  readonly #app: string
  #file: FileHandle | undefined
  #rest = Buffer.alloc(0)
  #isCut = false

  constructor(directory: string, app: string) {
    this.#directory = directory
    this.#app = app
  }

  /** The lines that are there and were not read yet, in batches; one without its newline waits. None of a log that is not there (yet). */
  async *read(): AsyncGenerator<LogLine[]> {
    this.#file ??= await this.#open((await this.#names()).at(-1))
    while (this.#file !== undefined) {
      yield* this.#readOn(this.#file)
      const next = await this.#successor(this.#file)
      if (next === undefined) return
      // Once more: it was put aside after we had read to its end.
      yield* this.#readOn(this.#file)
      await this.#file.close()
      this.#file = next
    }
  }

  /** From the youngest to the oldest. */
  async #names(): Promise<string[]> {
    const own = (await namesIn(this.#directory)).flatMap((name) => {
      const [, app, number = '0'] = form.exec(name) ?? []
      return app === this.#app ? [{name, number: Number(number)}] : []
    })
    return own.sort((one, other) => one.number - other.number).map(({name}) => name)
  }

  /** Undefined for what was put aside meanwhile: it is found by its new name at the next look. */
  async #open(name: string | undefined): Promise<FileHandle | undefined> {
    if (name === undefined) return undefined
    const path = join(this.#directory, name)
    let file: FileHandle
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY)
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw this.#failure(systemError('open', path, error))
    }
    if ((await file.stat()).isFile()) return file
    await file.close()
    throw this.#failure(new Error(`${path} is not a regular file`))
  }

  #failure(cause: Error): RktError {
    return new RktError('RKT_LOG', `cannot read the logs of app "${this.#app}"`, {cause})
  }

  /** The file that was begun when this one was put aside; undefined for the youngest. */
  async #successor(file: FileHandle): Promise<FileHandle | undefined> {
    const {ino} = await file.stat()
    let younger: FileHandle | undefined
    for (const name of await this.#names()) {
      const here = await this.#open(name)
      if (here === undefined) continue
      if ((await here.stat()).ino === ino) {
        await here.close()
        return younger
      }
      await younger?.close()
      younger = here
    }
    // Ours is gone, with what followed it: the oldest that is left is next.
    return younger
  }

  async *#readOn(file: FileHandle): AsyncGenerator<LogLine[]> {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (;;) {
      const {bytesRead} = await file.read(chunk, 0, chunkBytes, null)
      if (bytesRead === 0) return
      const lines = this.#linesOf(chunk.subarray(0, bytesRead))
      if (lines.length > 0) yield lines
    }
  }

  #linesOf(chunk: Buffer): LogLine[] {
    const bytes = Buffer.concat([this.#rest, chunk])
    const lines: LogLine[] = []
    const take = (line: Buffer) => {
      const parsed = this.#isCut ? undefined : parseLine(this.#app, line.subarray(0, maxLine))
      if (parsed) lines.push(parsed)
    }
    let start = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      take(bytes.subarray(start, end))
      this.#isCut = false
      start = end + 1
    }
    this.#rest = Buffer.from(bytes.subarray(start))
    if (this.#rest.length > maxLine) {
      take(this.#rest)
      this.#isCut = true
      this.#rest = Buffer.alloc(0)
    }
    return lines
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }
}

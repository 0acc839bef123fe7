/**
 * The logs of apps (docs/data-directory.md): lines in the CRI log format, in `logs/APP.log` and what was put aside before it. They are
 * read as hostile: bounded lines, regular files only, no link followed.
 */

import {closeSync, constants, type FSWatcher, fstatSync, openSync, readdirSync, readSync, watch} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import {isAbsent} from './absent.ts'
import type {Pod, Pods} from './pods.ts'
import {waitUntilFinished} from './wait.ts'

/** One line of an app, or a part of one that was too long. */
export interface LogLine {
  readonly app: string
  readonly stream: 'stdout' | 'stderr'
  /** As the log says it: RFC 3339 with nanoseconds, UTC. */
  readonly time: string
  readonly text: Buffer
  /** False when the next line of the same stream goes on with it. */
  readonly whole: boolean
}

export interface LogOptions {
  readonly apps: readonly string[]
  /** Only lines from then on, RFC 3339 in UTC. */
  readonly since?: string | undefined
  /** Only the last lines, so many of all apps together. */
  readonly tail?: number | undefined
  /** Goes on until the pod has ended. */
  readonly follow?: boolean
}

const logDirectory = 'logs'
/** What is longer is no line of ours; it is shown cut. */
const maxLine = 64 << 10
const chunkSize = 256 << 10
/** File system events may be missed; nothing is shown later than this. */
const pollMs = 500

/** The lines of apps in the order of their times. */
export async function* readLogs(pods: Pods, pod: Pod, {apps, follow = false, since, tail}: LogOptions): AsyncGenerator<LogLine> {
  const directory = join(pod.path, logDirectory)
  using readers = new DisposableStack()
  const all = apps.map((app) => readers.use(new LogReader(directory, app)))
  const wanted = (line: LogLine) => since === undefined || line.time >= since
  if (tail === undefined) yield* filtered(merged(all), wanted)
  else yield* lastOf(filtered(merged(all), wanted), tail)
  if (!follow) return
  const changes = readers.use(new Changes(directory, waitUntilFinished(pods, pod.uuid, undefined)))
  for (;;) {
    // Asked first: what was written before the end is read after it.
    const ended = changes.ended
    yield* filtered(merged(all), wanted)
    if (ended) return
    await changes.next()
  }
}

function* filtered(lines: Iterable<LogLine>, wanted: (line: LogLine) => boolean): Generator<LogLine> {
  for (const line of lines) if (wanted(line)) yield line
}

function* lastOf(lines: Iterable<LogLine>, count: number): Generator<LogLine> {
  const last: LogLine[] = []
  for (const line of lines) {
    last.push(line)
    if (last.length > 2 * count + 1024) last.splice(0, startOfLast(last, count))
  }
  yield* last.slice(startOfLast(last, count))
}

/** Where the last `count` whole lines begin. */
function startOfLast(lines: readonly LogLine[], count: number): number {
  let left = count
  let at = lines.length
  while (at > 0 && left > 0) {
    at -= 1
    // The parts of one line are one line.
    if (lines[at - 1]?.whole !== false) left -= 1
  }
  return at
}

/** What all readers have now, by time. */
function* merged(readers: readonly LogReader[]): Generator<LogLine> {
  const [only] = readers
  if (readers.length === 1 && only) return yield* only.lines()
  const heads = readers.map((reader) => ({lines: reader.lines(), next: undefined as LogLine | undefined}))
  for (const head of heads) head.next = head.lines.next().value ?? undefined
  for (;;) {
    let first: (typeof heads)[number] | undefined
    for (const head of heads) if (head.next && (first?.next === undefined || head.next.time < first.next.time)) first = head
    if (!first?.next) return
    yield first.next
    first.next = first.lines.next().value ?? undefined
  }
}

/** One app's log, read on from where it was left. */
class LogReader implements Disposable {
  readonly #directory: string
  readonly #app: string
  #fd: number | undefined
  #rest = Buffer.alloc(0)
  #cut = false

  constructor(directory: string, app: string) {
    this.#directory = directory
    this.#app = app
  }

  /** The lines that are there and were not read yet; one without its newline waits. */
  *lines(): Generator<LogLine> {
    this.#fd ??= this.#open(this.#names().at(-1))
    while (this.#fd !== undefined) {
      yield* this.#readOn(this.#fd)
      const next = this.#successor(this.#fd)
      if (next === undefined) return
      // Once more: it was put aside after we had read to its end.
      yield* this.#readOn(this.#fd)
      closeSync(this.#fd)
      this.#fd = next
    }
  }

  /** Names from the youngest to the oldest. */
  #names(): string[] {
    const own = new RegExp(`^${this.#app.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\.log(?:\\.(\\d{1,2}))?$`)
    const found: [number, string][] = []
    for (const name of this.#list()) {
      const match = own.exec(name)
      if (match) found.push([Number(match[1] ?? 0), name])
    }
    return found.sort(([one], [other]) => one - other).map(([, name]) => name)
  }

  #list(): string[] {
    try {
      return readdirSync(this.#directory)
    } catch (error) {
      if (isAbsent(error)) return []
      throw new RktError('RKT_LOG', `cannot read the logs of app "${this.#app}"`, {cause: systemError('open', this.#directory, error)})
    }
  }

  #open(name: string | undefined): number | undefined {
    if (name === undefined) return undefined
    const path = join(this.#directory, name)
    let fd: number
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY)
    } catch (error) {
      // Put aside meanwhile.
      if (isAbsent(error)) return undefined
      throw new RktError('RKT_LOG', `cannot read the logs of app "${this.#app}"`, {cause: systemError('open', path, error)})
    }
    if (fstatSync(fd).isFile()) return fd
    closeSync(fd)
    throw new RktError('RKT_LOG', `cannot read the logs of app "${this.#app}"`, {cause: new Error(`${path} is not a regular file`)})
  }

  /** The file that was begun when this one was put aside; undefined for the youngest. */
  #successor(fd: number): number | undefined {
    const {ino} = fstatSync(fd)
    const names = this.#names()
    let younger: number | undefined
    for (const name of names) {
      const here = this.#open(name)
      if (here === undefined) continue
      if (fstatSync(here).ino === ino) {
        closeSync(here)
        return younger
      }
      if (younger !== undefined) closeSync(younger)
      younger = here
    }
    // Ours is gone, with what followed it: the oldest that is left is next.
    return younger
  }

  *#readOn(fd: number): Generator<LogLine> {
    const chunk = Buffer.allocUnsafe(chunkSize)
    for (;;) {
      const length = readSync(fd, chunk, 0, chunkSize, null)
      if (length === 0) return
      let bytes = Buffer.concat([this.#rest, chunk.subarray(0, length)])
      for (;;) {
        const end = bytes.indexOf(10)
        if (end < 0) break
        const line = this.#cut ? undefined : parseLine(this.#app, bytes.subarray(0, Math.min(end, maxLine)))
        this.#cut = false
        if (line) yield line
        bytes = bytes.subarray(end + 1)
      }
      if (bytes.length > maxLine) {
        const line = this.#cut ? undefined : parseLine(this.#app, bytes.subarray(0, maxLine))
        if (line) yield line
        this.#cut = true
        bytes = Buffer.alloc(0)
      }
      this.#rest = Buffer.from(bytes)
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}

const head = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) (stdout|stderr) ([FP](?::[^ ]*)?) /

/** Undefined for what is no line of a log. */
export function parseLine(app: string, line: Buffer): LogLine | undefined {
  const match = head.exec(line.toString('latin1', 0, 96))
  if (!match) return undefined
  const [whole, time = '', stream, tags = ''] = match
  return {app, stream: stream as LogLine['stream'], text: Buffer.from(line.subarray(whole.length)), time, whole: tags.startsWith('F')}
}

/** Wakes when something in the directory changed, or the pod has ended. */
class Changes implements Disposable {
  readonly #watcher: FSWatcher | undefined
  #wake: (() => void) | undefined
  #changed = false
  ended = false

  constructor(directory: string, end: Promise<unknown>) {
    try {
      this.#watcher = watch(directory, () => this.#notice())
      this.#watcher.on('error', () => {})
    } catch {
      // No directory yet, or no watches left on this machine: it is looked at from time to time.
    }
    const ended = () => {
      this.ended = true
      this.#notice()
    }
    end.then(ended, ended)
  }

  #notice(): void {
    this.#changed = true
    this.#wake?.()
  }

  async next(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pollMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = undefined
    }
    this.#changed = false
  }

  [Symbol.dispose](): void {
    this.#watcher?.close()
  }
}

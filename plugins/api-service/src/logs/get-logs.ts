/** What apps have written (api-service, GetLogs). */

import {once} from 'node:events'
import {existsSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {create} from '@bufbuild/protobuf'
import type {ServerWritableStream} from '@grpc/grpc-js'
import {PodContents} from '@rkt/engine'
import {type GetLogsRequest, type GetLogsResponse, GetLogsResponseSchema} from '../generated/v1alpha_pb.js'
import {Watches} from '../pods/watches.ts'
import {StatusError} from '../server/status.ts'
import {type LogLine, shortLine} from './cri-line.ts'
import {appsOf, LogFile} from './log-file.ts'

/** What one response may hold. Who wants more follows. */
const maxBytes = 64 << 20
/** Responses of a stream that is followed are about so large. */
const batchBytes = 256 << 10

type Call = ServerWritableStream<GetLogsRequest, GetLogsResponse>

/** A line with the app that wrote it. */
interface AppLine extends LogLine {
  readonly app: string
}

/** Sends the log of a pod, whose directory is at `path` now: all in one response, or with `follow` also what comes. */
export async function getLogs(call: Call, {path, uuid}: {readonly path: string; readonly uuid: string}): Promise<void> {
  const {appName, follow, lines, sinceTime} = call.request
  if (appName !== '' && !/^[a-z\d]+(-+[a-z\d]+)*$/.test(appName)) {
    throw new StatusError('invalidArgument', `${JSON.stringify(appName.slice(0, 128))} is not a valid app name`)
  }
  const directory = join(path, 'logs')
  if (!existsSync(directory)) throw new Error(`logging unsupported for pod ${JSON.stringify(uuid)}`)
  const host = new PodContents({path}).hostname() ?? `rkt-${uuid}`
  const since = sinceTime > 0n ? new Date(Number(sinceTime) * 1000).toISOString() : ''
  await using reader = new PodLog(directory, appName, since)
  // Before the first look: what is written from then on is noticed.
  using changes = follow ? new Changes(directory, call) : undefined
  const format = (line: AppLine) => shortLine(line, host, line.app)
  await send(call, (await reader.last(lines)).map(format), !follow)
  while (changes && (await changes.next())) {
    for await (const batch of reader.more()) await send(call, batch.map(format))
    // The pod was removed: nothing more will come.
    if (changes.hasEnded) return
  }
}

/** Sends lines, not faster than the client reads them. */
async function send(call: Call, lines: string[], isOnly = false): Promise<void> {
  const batches = isOnly ? [lines] : inBatches(lines)
  for (const batch of batches) {
    if (call.cancelled) return
    if (!call.write(create(GetLogsResponseSchema, {lines: batch}))) await Promise.race([once(call, 'drain'), once(call, 'cancelled')])
  }
}

function inBatches(lines: readonly string[]): string[][] {
  const batches: string[][] = []
  let bytes = batchBytes
  for (const line of lines) {
    if (bytes >= batchBytes) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(line)
    bytes += line.length
  }
  return batches
}

/** The logs of a pod's apps, or of one of them. */
class PodLog implements AsyncDisposable {
  readonly #directory: string
  readonly #app: string
  readonly #since: string
  readonly #files = new Map<string, LogFile>()

  constructor(directory: string, app: string, since: string) {
    this.#directory = directory
    this.#app = app
    this.#since = since
  }

  /** The last lines of all that was written so far, by time; all of them for 0. */
  async last(count: number): Promise<AppLine[]> {
    const wanted = count > 0 ? count : Number.POSITIVE_INFINITY
    let lines: AppLine[] = []
    let bytes = 0
    const apart: AppLine[][] = []
    for (const app of this.#apps()) {
      lines = []
      for await (const batch of this.#linesOf(app)) {
        lines.push(...batch)
        bytes += batch.reduce((sum, {text}) => sum + text.length, 0)
        if (lines.length > 2 * wanted) {
          const dropped = lines.splice(0, lines.length - wanted)
          bytes -= dropped.reduce((sum, {text}) => sum + text.length, 0)
        }
        if (bytes > maxBytes) throw new StatusError('resourceExhausted', `the log is larger than ${maxBytes} bytes: ask for fewer lines`)
      }
      apart.push(wanted === Number.POSITIVE_INFINITY ? lines : lines.slice(-wanted))
    }
    const merged = apart.length === 1 ? (apart[0] ?? []) : apart.flat().sort((a, b) => (a.time < b.time ? -1 : Number(a.time > b.time)))
    return wanted === Number.POSITIVE_INFINITY ? merged : merged.slice(-wanted)
  }

  /** What was written since. */
  async *more(): AsyncGenerator<AppLine[]> {
    for (const app of this.#apps()) yield* this.#linesOf(app)
  }

  async *#linesOf(app: string): AsyncGenerator<AppLine[]> {
    const file = this.#files.get(app) ?? new LogFile(app, this.#directory)
    this.#files.set(app, file)
    for await (const batch of file.read()) {
      // Empty lines say nothing, as the journal has it.
      yield batch.filter(({text, time}) => text !== '' && time >= this.#since).map((line) => ({...line, app}))
    }
  }

  #apps(): string[] {
    if (this.#app !== '') return [this.#app]
    try {
      return appsOf(readdirSync(this.#directory))
    } catch {
      // The pod has moved on: the files that are open can still be read.
      return [...this.#files.keys()]
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file[Symbol.asyncDispose]()
  }
}

/** Changes of a directory of logs, one answer for all that came since the last. */
class Changes implements Disposable {
  readonly #watches = new Watches()
  readonly #directory: string
  readonly #call: Call
  #hasChanged = false
  #wake = () => {}

  constructor(directory: string, call: Call) {
    this.#directory = directory
    this.#call = call
    const changed = () => {
      this.#hasChanged = true
      this.#wake()
    }
    if (!this.#watches.add('logs', directory, changed)) throw new StatusError('resourceExhausted', `${directory} cannot be watched`)
    call.on('cancelled', changed)
  }

  get hasEnded(): boolean {
    return !this.#watches.has('logs') || !existsSync(this.#directory)
  }

  /** Waits for a change; false when the client has gone. */
  async next(): Promise<boolean> {
    if (!this.#hasChanged) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#hasChanged = false
    return !this.#call.cancelled
  }

  [Symbol.dispose](): void {
    this.#watches[Symbol.dispose]()
  }
}

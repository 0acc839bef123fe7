/** What apps have written (api-service, GetLogs). */

import {once} from 'node:events'
import {existsSync} from 'node:fs'
import {create} from '@bufbuild/protobuf'
import type {ServerWritableStream} from '@grpc/grpc-js'
import {DirectoryChanges, type LogLine, logDirectory, PodContents, PodLog} from '@rkt/engine'
import {type GetLogsRequest, type GetLogsResponse, GetLogsResponseSchema} from '../generated/v1alpha_pb.js'
import {StatusError} from '../server/status.ts'
import {Joiner} from './joiner.ts'
import {shortLine} from './short-line.ts'

/** What one response may hold. Who wants more follows. */
const maxBytes = 64 << 20
/** Responses of a stream that is followed are about so large. */
const batchBytes = 256 << 10

type Call = ServerWritableStream<GetLogsRequest, GetLogsResponse>

/** Sends the log of a pod, whose directory is at `path` now: all in one response, or with `follow` also what comes. */
export async function getLogs(call: Call, {path, uuid}: {readonly path: string; readonly uuid: string}): Promise<void> {
  const {appName, follow, lines, sinceTime} = call.request
  if (appName !== '' && !/^[a-z\d]+(-+[a-z\d]+)*$/.test(appName)) {
    throw new StatusError('invalidArgument', `${JSON.stringify(appName.slice(0, 128))} is not a valid app name`)
  }
  const directory = logDirectory({path})
  if (!existsSync(directory)) throw new Error(`logging unsupported for pod ${JSON.stringify(uuid)}`)
  const host = new PodContents({path}).hostname() ?? `rkt-${uuid}`
  // Without the Z: what comes in the same second is later.
  const since = sinceTime > 0n ? new Date(Number(sinceTime) * 1000).toISOString().slice(0, -1) : ''
  await using log = new PodLog(directory, appName === '' ? undefined : [appName])
  // Before the first look: what is written from then on is noticed.
  using changes = follow ? new DirectoryChanges(directory) : undefined
  if (changes && !changes.isWatched) throw new StatusError('resourceExhausted', `${directory} cannot be watched`)
  call.on('cancelled', () => changes?.notice())
  const joiner = new Joiner()
  async function* unread(): AsyncGenerator<LogLine[]> {
    for await (const batch of log.read()) {
      // Empty lines say nothing, as the journal has it.
      yield batch.flatMap((line) => joiner.join(line) ?? []).filter(({text, time}) => text.length > 0 && time >= since)
    }
  }
  const format = (line: LogLine) => shortLine(line, host)
  await send(call, (await lastOf(unread(), lines)).map(format), !follow)
  while (changes && !call.cancelled) {
    await changes.next()
    if (call.cancelled) return
    for await (const batch of unread()) await send(call, batch.map(format))
    // The pod was removed: nothing more will come.
    if (!changes.isWatched || !existsSync(directory)) return
  }
}

/** The last lines, or all of them for 0. */
async function lastOf(batches: AsyncIterable<readonly LogLine[]>, count: number): Promise<LogLine[]> {
  const wanted = count > 0 ? count : Number.POSITIVE_INFINITY
  const lines: LogLine[] = []
  const size = (some: readonly LogLine[]) => some.reduce((sum, {text}) => sum + text.length, 0)
  let bytes = 0
  for await (const batch of batches) {
    for (const line of batch) lines.push(line)
    bytes += size(batch)
    if (lines.length > 2 * wanted) bytes -= size(lines.splice(0, lines.length - wanted))
    if (bytes > maxBytes) throw new StatusError('resourceExhausted', `the log is larger than ${maxBytes} bytes: ask for fewer lines`)
  }
  return wanted === Number.POSITIVE_INFINITY ? lines : lines.slice(-wanted)
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

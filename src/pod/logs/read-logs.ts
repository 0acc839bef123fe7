import type {Pod, Pods} from '../pods.ts'
import {waitUntilFinished} from '../wait.ts'
import {DirectoryChanges} from './directory-changes.ts'
import type {LogLine} from './log-line.ts'
import {logDirectory, PodLog} from './pod-log.ts'

export interface LogOptions {
  /** All that have a log, also those to come, when left out. */
  readonly apps?: readonly string[] | undefined
  /** Only lines from then on, RFC 3339 in UTC. */
  readonly since?: string | undefined
  /** Only the last lines, so many of all apps together. */
  readonly tail?: number | undefined
  /** Goes on until the pod has ended. */
  readonly follow?: boolean
}

/** File system events may be missed; nothing is shown later than this. */
const pollMs = 500

/** The lines of apps in the order of their times. */
export async function* readLogs(pods: Pods, pod: Pod, {apps, follow = false, since, tail}: LogOptions): AsyncGenerator<LogLine> {
  const directory = logDirectory(pod)
  await using log = new PodLog(directory, apps)
  async function* wanted(): AsyncGenerator<LogLine> {
    for await (const batch of log.read()) for (const line of batch) if (since === undefined || line.time >= since) yield line
  }
  if (tail === undefined) yield* wanted()
  else yield* await lastOf(wanted(), tail)
  if (!follow) return
  using changes = new DirectoryChanges(directory)
  let hasEnded = false
  const end = () => {
    hasEnded = true
    changes.notice()
  }
  waitUntilFinished(pods, pod.uuid, undefined).then(end, end)
  for (;;) {
    // Asked first: what was written before the end is read after it.
    const isLast = hasEnded
    yield* wanted()
    if (isLast) return
    await changes.next(pollMs)
  }
}

async function lastOf(lines: AsyncIterable<LogLine>, count: number): Promise<LogLine[]> {
  const last: LogLine[] = []
  for await (const line of lines) {
    last.push(line)
    if (last.length > 2 * count + 1024) last.splice(0, startOfLast(last, count))
  }
  return last.slice(startOfLast(last, count))
}

/** Where the last `count` whole lines begin. */
function startOfLast(lines: readonly LogLine[], count: number): number {
  let left = count
  let at = lines.length
  // The parts of one line are one line.
  while (at > 0 && (left > 0 || isGoneOnWith(lines[at - 1], lines[at]))) {
    at -= 1
    if (!isGoneOnWith(lines[at - 1], lines[at])) left -= 1
  }
  return at
}

const isGoneOnWith = (part: LogLine | undefined, next: LogLine | undefined) =>
  part?.whole === false && part.app === next?.app && part.stream === next.stream

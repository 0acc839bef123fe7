import {join} from 'node:path'
import {AppLog, loggedApps} from './app-log.ts'
import type {LogLine} from './log-line.ts'

/** Lines of one app that are at hand, and how to come by more. */
interface Head {
  lines: readonly LogLine[]
  at: number
  readonly more: AsyncGenerator<LogLine[]>
}

/** Where a pod keeps its logs (docs/data-directory.md). */
export const logDirectory = ({path}: {readonly path: string}): string => join(path, 'logs')

/** The logs of a pod's apps as one: of those that are named, else of all that have one by then. */
export class PodLog implements AsyncDisposable {
  readonly #directory: string
  readonly #apps: readonly string[] | undefined
  readonly #logs = new Map<string, AppLog>()

  constructor(directory: string, apps?: readonly string[]) {
    this.#directory = directory
    this.#apps = apps
  }

  /** The lines that are there and were not read yet, in the order of their times, in batches. */
  async *read(): AsyncGenerator<readonly LogLine[]> {
    // Apps of a directory that has moved on are still read from the files that are open.
    const apps = this.#apps ?? new Set([...this.#logs.keys(), ...(await loggedApps(this.#directory))])
    let heads: Head[] = [...apps].map((app) => ({at: 0, lines: [], more: this.#logOf(app).read()}))
    for (;;) {
      heads = await refilled(heads)
      if (heads.length === 0) return
      const batch: LogLine[] = []
      let drained = false
      while (!drained) {
        const first = earliest(heads)
        const line = first?.lines[first.at++]
        if (line) batch.push(line)
        drained = !first || first.at >= first.lines.length
      }
      yield batch
    }
  }

  #logOf(app: string): AppLog {
    const log = this.#logs.get(app) ?? new AppLog(this.#directory, app)
    this.#logs.set(app, log)
    return log
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const log of this.#logs.values()) await log[Symbol.asyncDispose]()
  }
}

/** Those that have a line at hand, after more was read for those that had none left. */
async function refilled(heads: readonly Head[]): Promise<Head[]> {
  const open: Head[] = []
  for (const head of heads) {
    if (head.at >= head.lines.length) {
      head.lines = (await head.more.next()).value ?? []
      head.at = 0
    }
    if (head.lines.length > 0) open.push(head)
  }
  return open
}

function earliest(heads: readonly Head[]): Head | undefined {
  let first: Head | undefined
  for (const head of heads) {
    const time = head.lines[head.at]?.time
    if (time !== undefined && (first === undefined || time < (first.lines[first.at]?.time ?? ''))) first = head
  }
  return first
}

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

const head = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) (stdout|stderr) ([FP])(?::[^ ]*)?(?: |$)/
const maxHead = 96

/** A line in the CRI log format, `TIME STREAM TAG TEXT`; undefined for what is none, as a full disk may leave one. */
export function parseLine(app: string, line: Buffer): LogLine | undefined {
  const match = head.exec(line.toString('latin1', 0, maxHead))
  if (!match) return undefined
  const [whole, time = '', stream, tag] = match
  // A copy: who keeps one line does not keep all that was read with it.
  return {app, stream: stream as LogLine['stream'], text: Buffer.from(line.subarray(whole.length)), time, whole: tag === 'F'}
}

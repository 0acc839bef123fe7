/** Lines of an app's log as the supervisor writes them: `TIME STREAM TAG TEXT`, the log format of CRI. */

export interface LogLine {
  /** RFC 3339 with nanoseconds, UTC: sorts as it reads. */
  readonly time: string
  readonly text: string
  /** The line goes on in the next one of its stream. */
  readonly isPartial: boolean
  readonly stream: string
}

const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP])(?::\S*)?(?: (.*))?$/s

/** Undefined for what is no such line, as a full disk may leave one. */
export function parseLine(line: string): LogLine | undefined {
  const [, time, stream, tag, text = ''] = form.exec(line) ?? []
  return time === undefined || stream === undefined ? undefined : {isPartial: tag === 'P', stream, text, time}
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** A line in the journal's short format: `DATE HOST APP: TEXT`, the date in local time. */
export function shortLine({text, time}: Pick<LogLine, 'text' | 'time'>, host: string, app: string): string {
  const date = new Date(`${time.slice(0, 23)}Z`)
  const two = (number: number) => String(number).padStart(2, '0')
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')
  return `${months[date.getMonth()]} ${two(date.getDate())} ${clock} ${host} ${app}: ${text}`
}

/** Puts the parts of long lines together, those of each stream apart. */
export class Joiner {
  readonly #parts = new Map<string, string>()

  /** A whole line, or undefined while more of it has to come. */
  join(line: LogLine): LogLine | undefined {
    const text = (this.#parts.get(line.stream) ?? '') + line.text
    const isWhole = !line.isPartial || text.length >= maxLine
    if (isWhole) this.#parts.delete(line.stream)
    else this.#parts.set(line.stream, text)
    return isWhole ? {...line, text} : undefined
  }
}

/** Longer lines stay in parts: an app may never end one. */
const maxLine = 1 << 20

import type {LogLine} from '@rkt/engine'

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** A line in the journal's short format: `DATE HOST APP: TEXT`, the date in local time. */
export function shortLine({app, text, time}: Pick<LogLine, 'app' | 'text' | 'time'>, host: string): string {
  const date = new Date(time)
  const two = (number: number) => String(number).padStart(2, '0')
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')
  return `${months[date.getMonth()]} ${two(date.getDate())} ${clock} ${host} ${app}: ${text}`
}

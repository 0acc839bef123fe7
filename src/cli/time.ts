/** Points in time, for people and for scripts. */

import {zoneAbbreviation} from './zone.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const week = 7 * day
const month = 30 * day
const year = 12 * month
const longTime = 37 * year

/** Each step reads: below `limit`, count in `unit` (or say the word). */
const steps: readonly (readonly [limit: number, unit: number, word: string])[] = [
  [2 * second, 0, '1 second'],
  [minute, second, 'seconds'],
  [2 * minute, 0, '1 minute'],
  [hour, minute, 'minutes'],
  [2 * hour, 0, '1 hour'],
  [day, hour, 'hours'],
  [2 * day, 0, '1 day'],
  [week, day, 'days'],
  [2 * week, 0, '1 week'],
  [month, week, 'weeks'],
  [2 * month, 0, '1 month'],
  [year, month, 'months'],
  [18 * month, 0, '1 year'],
  [2 * year, 0, '2 years'],
  [longTime, year, 'years'],
]

/** `now`, `5 minutes ago`, `1 week from now`, `a long while ago`. */
export function relativeTime(date: Date, now: Date = new Date()): string {
  const distance = now.getTime() - date.getTime()
  const direction = distance < 0 ? 'from now' : 'ago'
  const magnitude = Math.abs(distance)
  if (magnitude < second) return 'now'
  const step = steps.find(([limit]) => magnitude < limit)
  if (!step) return `a long while ${direction}`
  const [, unit, word] = step
  return unit === 0 ? `${word} ${direction}` : `${Math.floor(magnitude / unit)} ${word} ${direction}`
}

/** Local time like `2016-04-01 19:12:03.447 -0700 PDT`; the fraction loses its trailing zeros, and its dot when nothing is left. */
export function absoluteTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const fraction = String(date.getMilliseconds()).padStart(3, '0').replace(/0+$/, '')
  const offset = -date.getTimezoneOffset()
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${fraction && `.${fraction}`}`
  return `${day} ${time} ${zone} ${zoneAbbreviation(date, offset * 60) ?? zone.replace(/00$/, '')}`
}

/** Small texts inside manifests. Each function answers what is wrong with a text, or its canonical form. */
import {RktError} from '../errors.ts'
import {quote} from './text.ts'

/** The version of the specification that this is. */
export const AC_VERSION = '0.8.11'

const MAX_INT64 = 2n ** 63n - 1n

/** `major.minor.patch[-pre][+meta]` in its canonical form; leading zeros are read, 0.0.0 on its own is refused. */
export function parseAcVersion(text: string): string {
  const [, numbers = '', pre = '', meta = ''] = /^([^+-]*)(-[^+]*)?(\+.*)?$/s.exec(text) ?? []
  const parts = numbers.split('.')
  const bad = parts.length !== 3 || parts.some((part) => !/^[0-9]{1,400}$/.test(part) || BigInt(part) > MAX_INT64)
  if (bad) throw new RktError('RKT_BAD_VERSION', `${quote(text)} is not a version such as ${AC_VERSION}`)
  const tail = (pre === '-' ? '' : pre) + (meta === '+' ? '' : meta)
  const version = parts.map(BigInt).join('.')
  if (version === '0.0.0' && tail === '') throw new RktError('RKT_BAD_VERSION', `the version ${quote(text)} cannot be zero`)
  return version + tail
}

const DATE = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|[+-](\d\d):(\d\d))$/

/** Whether a text is an RFC 3339 time of the calendar, with `T` and a zone. */
export function isDate(text: string): boolean {
  const found = DATE.exec(text)
  if (found === null) return false
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zoneHour = 0, zoneMinute = 0] = found
    .slice(1)
    .map((part) => Number(part ?? 0))
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0
  return day >= 1 && day <= days && hour < 24 && minute < 60 && second < 60 && zoneHour < 24 && zoneMinute < 60
}

/** Whether a text is a URL of http or https. */
export function isWebUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

/** Whether a text is an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  // asked for late: the module of sockets is large, and few pods expose ports
  return process.getBuiltinModule('node:net').isIP(text) !== 0
}

import {RktError} from '../errors.ts'

const unitNanoseconds: Readonly<Record<string, number>> = {
  h: 3.6e12,
  m: 6e10,
  ms: 1e6,
  ns: 1,
  s: 1e9,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
}

/** Milliseconds of a duration in Go's syntax (`300ms`, `1h30m`, `-1s`, `1.5h`); only a plain `0` may lack its unit. */
export function parseDuration(text: string): number {
  const fail = (reason: string) => new RktError('RKT_BAD_DURATION', `time: ${reason} ${JSON.stringify(text)}`)
  const [, sign, body] = /^([+-]?)(.*)$/s.exec(text) ?? []
  if (!body) throw fail('invalid duration')
  if (body === '0') return 0
  let total = 0
  let rest = body
  while (rest !== '') {
    const [term, number, unit] = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest) ?? []
    if (term === undefined || number === undefined) throw fail('invalid duration')
    if (!unit) throw fail('missing unit in duration')
    const scale = unitNanoseconds[unit]
    if (scale === undefined) throw fail(`unknown unit ${JSON.stringify(unit)} in duration`)
    total += Number(number) * scale
    rest = rest.slice(term.length)
  }
  // Go counts nanoseconds in 63 bits.
  if (total >= 2 ** 63) throw fail('invalid duration')
  return (sign === '-' ? -total : total) / 1e6
}

/** A duration as Go prints it: `30m0s`, `24h0m0s`, `1.5s`, `300ms`, `0s`. */
export function formatDuration(milliseconds: number): string {
  const sign = milliseconds < 0 ? '-' : ''
  const nanoseconds = Math.round(Math.abs(milliseconds) * 1e6)
  if (nanoseconds === 0) return '0s'
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`
  if (nanoseconds < 1e6) return `${sign}${nanoseconds / 1e3}µs`
  if (nanoseconds < 1e9) return `${sign}${nanoseconds / 1e6}ms`
  const wholeSeconds = Math.floor(nanoseconds / 1e9)
  const hours = Math.floor(wholeSeconds / 3600)
  const minutes = Math.floor((wholeSeconds % 3600) / 60)
  const fraction = String(nanoseconds % 1e9)
    .padStart(9, '0')
    .replace(/0+$/, '')
  const seconds = `${wholeSeconds % 60}${fraction && `.${fraction}`}s`
  return sign + (hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds)
}

/** Abbreviations of time zones (`CEST`), which ECMAScript's locale data gives only for some zones: read from tzfile(5). */

import {readFileSync} from 'node:fs'

interface Zone {
  readonly transitions: readonly {readonly seconds: number; readonly type: number}[]
  readonly types: readonly {readonly offset: number; readonly abbreviation: string}[]
}

let cached: Zone | null | undefined

/** The abbreviation of local time at `date`, where the offset from UTC is known to be `offset` seconds; undefined when no zone file says. */
export function zoneAbbreviation(date: Date, offset: number): string | undefined {
  const name = process.env.TZ
  if (name === '' || name === 'UTC') return 'UTC'
  cached ??= readZone(name === undefined ? '/etc/localtime' : `/usr/share/zoneinfo/${name.replace(/^:/, '')}`)
  return cached ? abbreviationIn(cached, date.getTime() / 1000, offset) : offset === 0 ? 'UTC' : undefined
}

function readZone(path: string): Zone | null {
  try {
    return parseZone(readFileSync(path))
  } catch {
    // No zone file, or one that is no zone file: the offset speaks for itself.
    return null
  }
}

/** The latest type with that offset at or before the moment; what lies beyond the last transition repeats the types before it. */
export function abbreviationIn({transitions, types}: Zone, seconds: number, offset: number): string | undefined {
  const before = transitions.findLast((transition) => transition.seconds <= seconds && types[transition.type]?.offset === offset)
  return (before ? types[before.type] : types.find((type) => type.offset === offset))?.abbreviation
}

/** Reads the 64-bit part of a zone file of version 2 or later. */
export function parseZone(file: Buffer): Zone {
  const header = (at: number) => [20, 24, 28, 32, 36, 40].map((field) => file.readUInt32BE(at + field))
  const [isUt = 0, isStd = 0, leaps = 0, times = 0, kinds = 0, chars = 0] = header(0)
  const second = 44 + times * 5 + kinds * 6 + chars + leaps * 8 + isStd + isUt
  const [, , , count = 0, typeCount = 0, charCount = 0] = header(second)
  const start = second + 44
  const typeStart = start + count * 9
  const charStart = typeStart + typeCount * 6
  const names = file.toString('latin1', charStart, charStart + charCount)
  return {
    transitions: Array.from({length: count}, (_, index) => ({
      seconds: Number(file.readBigInt64BE(start + index * 8)),
      type: file.readUInt8(start + count * 8 + index),
    })),
    types: Array.from({length: typeCount}, (_, index) => {
      const at = typeStart + index * 6
      const name = file.readUInt8(at + 5)
      return {abbreviation: names.slice(name, names.indexOf('\0', name)), offset: file.readInt32BE(at)}
    }),
  }
}

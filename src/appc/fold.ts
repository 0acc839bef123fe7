/** Keys as the format reads them: in any case, unknown ones dropped, null meaning absent, the last one winning. */
import {isRawJSON} from './json.ts'
import {quote} from './text.ts'

export type Members = Record<string, unknown>

export function isObject(value: unknown): value is Readonly<Members> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawJSON(value)
}

/** What a value is, for a sentence such as `must be a string, not a list`. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'string') return `the string ${quote(value)}`
  if (typeof value === 'number') return `the number ${value}`
  if (isRawJSON(value)) return `the number ${value.rawJSON}`
  if (typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}

/** Spellings by lists of names: the lists are few and constant, and a manifest has many objects of each. */
const spellings = new WeakMap<readonly string[], ReadonlyMap<string, string>>()

function spellingOf(names: readonly string[]): ReadonlyMap<string, string> {
  const known = spellings.get(names)
  if (known !== undefined) return known
  const spelling = new Map(names.flatMap((name) => [[name, name] as const, [name.toLowerCase(), name] as const]))
  spellings.set(names, spelling)
  return spelling
}

/** The members that have one of these names, spelled so and in this order. */
export function foldMembers(object: Readonly<Members>, names: readonly string[]): Members {
  const spelling = spellingOf(names)
  const found = new Map<string, unknown>()
  for (const [key, value] of Object.entries(object)) {
    const name = spelling.get(key) ?? spelling.get(key.toLowerCase())
    if (name !== undefined) found.set(name, value)
  }
  const folded: Members = {}
  for (const name of names) {
    const value = found.get(name)
    if (value !== undefined && value !== null) folded[name] = value
  }
  return folded
}

/** Fields of a configuration file, whose keys match in any case. Messages say what is wrong, not in which file. */

/** A JSON object with its keys in lower case; among keys that differ in case only the last wins. */
export type Members = ReadonlyMap<string, unknown>

export function membersOf(value: unknown, what: string): Members {
  if (value === undefined || value === null) return new Map()
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error(`${what} must be an object`)
  return new Map(Object.entries(value).map(([key, member]) => [key.toLowerCase(), member]))
}

/** A text; absent and null are empty. */
export function textOf(members: Members, key: string): string {
  const value = members.get(key.toLowerCase()) ?? ''
  if (typeof value !== 'string') throw new Error(`${key} must be a string`)
  return value
}

/** A list of texts; absent and null are empty. */
export function textsOf(members: Members, key: string): readonly string[] {
  const value = members.get(key.toLowerCase()) ?? []
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw new Error(`${key} must be a list of strings`)
  return value
}

/** A value brought into the shape of a schema, on the way in and on the way out. */
import {foldMembers, isObject, type Members} from './fold.ts'
import {resolve, type Schema} from './schemas.ts'

/** A copy that has the schema's fields only, spelled and ordered as there, without nulls; what has a wrong type stays as it is. */
export function conform(value: unknown, schema: Schema): unknown {
  const {additionalProperties, items, properties} = resolve(schema)
  if (items !== undefined && Array.isArray(value)) return value.map((item) => conform(item, items))
  if (!isObject(value)) return value
  if (additionalProperties !== undefined) return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined))
  if (properties === undefined) return value
  const members = foldMembers(value, namesOf(properties))
  return mapMembers(properties, members, conform)
}

/** A copy without the fields that are empty and may be left out: reading gives it, so that absent has one form only. */
export function tidy(value: unknown, schema: Schema): unknown {
  return copy(value, schema, (member, {emit}) => (emit === undefined && isEmpty(member) ? undefined : member))
}

/** A copy with the nulls that are written for absent lists, ready for JSON. */
export function emitted(value: unknown, schema: Schema): unknown {
  return copy(value, schema, (member, {emit}) => {
    if (emit === 'always') return member === undefined ? null : member
    if (emit === 'null') return member === undefined || isEmpty(member) ? null : member
    return emit === undefined && isEmpty(member) ? undefined : member
  })
}

function copy(value: unknown, schema: Schema, choose: (member: unknown, schema: Schema) => unknown): unknown {
  const {additionalProperties, items, properties} = resolve(schema)
  if (items !== undefined && Array.isArray(value)) return value.map((item) => copy(item, items, choose))
  if (!isObject(value)) return value
  if (additionalProperties !== undefined) return sorted(value)
  if (properties === undefined) return value
  return mapMembers(properties, value, (member, field) => choose(copy(member, field, choose), field))
}

const names = new WeakMap<object, readonly string[]>()

/** The keys of an object of the schema, always the same list. */
function namesOf(fields: Readonly<Record<string, Schema>>): readonly string[] {
  const known = names.get(fields) ?? Object.keys(fields)
  names.set(fields, known)
  return known
}

function mapMembers(fields: Readonly<Record<string, Schema>>, members: Members, map: (member: unknown, field: Schema) => unknown): Members {
  const mapped: Members = {}
  for (const name of namesOf(fields)) {
    const member = map(members[name], fields[name] ?? {})
    if (member !== undefined) mapped[name] = member
  }
  return mapped
}

/** Maps are written in the order of their keys' bytes. */
function sorted(map: Members): Members {
  const entries = Object.entries(map).map((entry) => [Buffer.from(entry[0]), entry] as const)
  return Object.fromEntries(entries.sort(([a], [b]) => Buffer.compare(a, b)).map(([, entry]) => entry))
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (isObject(value)) return Object.keys(value).length === 0
  return value === '' || value === 0 || value === false
}

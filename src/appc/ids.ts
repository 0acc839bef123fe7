import {RktError} from '../errors.ts'
import {quote} from './text.ts'
import type {ImageId, Uuid} from './types.ts'

/** Checks the form `sha512-VALUE` only; a store decides whether the value is one of its images. */
export function parseImageId(text: string): ImageId {
  const fail = (rule: string): never => {
    throw new RktError('RKT_BAD_IMAGE_ID', `${quote(text)} is not an image ID`, {cause: new Error(rule)})
  }
  const [type, value, ...rest] = text.split('-')
  if (value === undefined || rest.length > 0) return fail('an image ID is a hash type and a value with one "-" between them')
  if (type !== 'sha512') return fail(`unknown hash type ${quote(type ?? '')}, expected "sha512"`)
  if (value === '') return fail('the hash value is empty')
  return text as ImageId
}

const NIL = '00000000-0000-0000-0000-000000000000'

/** A whole UUID, dashes wherever they are and in any case, in its canonical form. */
export function parseUuid(text: string): Uuid {
  const digits = text.replaceAll('-', '').toLowerCase()
  if (!/^[0-9a-f]{32}$/.test(digits)) throw new RktError('RKT_BAD_UUID', `${quote(text)} is not a UUID: expected 32 hexadecimal digits`)
  const uuid = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  if (uuid === NIL) throw new RktError('RKT_BAD_UUID', 'the UUID of all zeros names no pod')
  return uuid as Uuid
}

/** A random (version 4) UUID. */
export function newUuid(): Uuid {
  // asked for late: commands that make no pod do not load the module
  return process.getBuiltinModule('node:crypto').randomUUID() as Uuid
}

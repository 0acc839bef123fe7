import {RktError} from '../errors.ts'
import {quoteWhole as quote} from './text.ts'

/** How the errors of one kind of text are called. */
export interface ParameterErrors {
  readonly code: `RKT_BAD_${string}`
  /** As in `unknown volume parameter "x"`. */
  readonly what: string
}

/**
 * `key=value,key=value` in the order of first mention. A value is everything behind the first `=`; commas cannot be escaped.
 * A key stands once.
 */
export function parseParameters(text: string, {code}: Pick<ParameterErrors, 'code'>): Map<string, string> {
  const values = new Map<string, string[]>()
  for (const piece of text.split(',')) {
    const at = piece.indexOf('=')
    if (at < 0) throw new RktError(code, `malformed string ${quote(text)} - has a label without a value: ${piece}`)
    const key = piece.slice(0, at)
    values.set(key, [...(values.get(key) ?? []), piece.slice(at + 1)])
  }
  const single = new Map<string, string>()
  for (const [key, all] of values) {
    if (all.length > 1) throw new RktError(code, `label ${key} with multiple values [${all.map(quote).join(' ')}]`)
    single.set(key, all[0] ?? '')
  }
  return single
}

/** The same, for texts whose keys are known. */
export function parseKnownParameters<Key extends string>(text: string, keys: readonly Key[], errors: ParameterErrors): Map<Key, string> {
  const parameters = parseParameters(text, errors)
  for (const key of parameters.keys()) {
    if (!(keys as readonly string[]).includes(key)) throw new RktError(errors.code, `unknown ${errors.what} parameter ${quote(key)}`)
  }
  return parameters as Map<Key, string>
}

const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True']
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False']

/** A boolean word, or undefined for an absent one. */
export function parseBoolean(text: string | undefined, key: string, {code}: ParameterErrors): boolean | undefined {
  if (text === undefined) return undefined
  if (TRUE.includes(text)) return true
  if (FALSE.includes(text)) return false
  throw new RktError(code, `${key} must be true or false, not ${quote(text)}`)
}

/** A whole number up to `max`, or undefined for an absent one. */
export function parseInteger(text: string | undefined, key: string, max: number, {code}: ParameterErrors): number | undefined {
  if (text === undefined) return undefined
  const value = /^\+?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value <= max) return value
  throw new RktError(code, `${key} must be a number from 0 to ${max}, not ${quote(text)}`)
}

import {RktError} from '../errors.ts'
import {quote} from './text.ts'
import type {AcIdentifier, AcName} from './types.ts'

interface Kind {
  readonly what: string
  readonly word: string
  readonly separators: string
  readonly characters: RegExp
  /** Stands for an illegal character when a name is made up. */
  readonly filler: string
}

const NAME: Kind = {characters: /^[-a-z0-9]*$/, filler: '-', separators: '-', what: 'name', word: 'ACName'}
const IDENTIFIER: Kind = {characters: /^[-._~/a-z0-9]*$/, filler: '_', separators: '-._~/', what: 'identifier', word: 'ACIdentifier'}

/** The rule that a text breaks, or null. Inner separators may stand together, as the specification's library allows. */
function brokenRule(text: string, {characters, separators, word}: Kind): string | null {
  if (text === '') return `${word} cannot be empty`
  if (!characters.test(text)) return `${word} must be lower case alphanumeric characters plus "${separators}"`
  if (separators.includes(text.charAt(0)) || separators.includes(text.charAt(text.length - 1))) {
    return `${word} must start and end with only lower case alphanumeric characters`
  }
  return null
}

function parse(text: string, kind: Kind): string {
  const rule = brokenRule(text, kind)
  if (rule === null) return text
  throw new RktError('RKT_BAD_NAME', `${quote(text)} is not a valid ${kind.what}`, {cause: new Error(rule)})
}

function sanitize(text: string, kind: Kind): string {
  const legal = [...text.toLowerCase()].map((character) => (kind.characters.test(character) ? character : kind.filler)).join('')
  let start = 0
  let end = legal.length
  while (start < end && kind.separators.includes(legal.charAt(start))) start += 1
  while (end > start && kind.separators.includes(legal.charAt(end - 1))) end -= 1
  if (start < end) return legal.slice(start, end)
  throw new RktError('RKT_BAD_NAME', `${quote(text)} holds nothing that a valid ${kind.what} could be made of`)
}

/** A name of an app, a volume, a mount point or a port. */
export function parseAcName(text: string): AcName {
  return parse(text, NAME) as AcName
}

/** A name of an image, a label, an annotation or an isolator. */
export function parseAcIdentifier(text: string): AcIdentifier {
  return parse(text, IDENTIFIER) as AcIdentifier
}

/** The name nearest to a text: for suggestions and generated names, never for identity. */
export function sanitizeAcName(text: string): AcName {
  return sanitize(text, NAME) as AcName
}

/** The identifier nearest to a text: for suggestions and generated names, never for identity. */
export function sanitizeAcIdentifier(text: string): AcIdentifier {
  return sanitize(text, IDENTIFIER) as AcIdentifier
}

/** The name that an app gets when none is given: the last element of its image's name. */
export function appNameOf(imageName: string): AcName {
  return sanitizeAcName(imageName.slice(imageName.lastIndexOf('/') + 1))
}

/** The schemas' verdict, in words. */
import {kindOf} from './fold.ts'
import * as validators from './generated/validators.ts'
import {parseImageId} from './ids.ts'
import {parseAcIdentifier, parseAcName} from './names.ts'
import {type Path, Problem, within} from './problem.ts'
import {PATTERNS} from './schemas.ts'
import {quote} from './text.ts'

/** An error as ajv reports it; `schema` is the keyword's value. */
interface SchemaError {
  readonly instancePath: string
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
}

interface Validator {
  (value: unknown): boolean
  readonly errors?: readonly SchemaError[] | null
}

export type Validated = 'imageManifest' | 'podManifest'

const compiled = validators as unknown as Readonly<Record<Validated, Validator>>

/** Throws the Problem of the first field that the schema refuses. */
export function validate(value: unknown, definition: Validated): void {
  const validator = compiled[definition]
  if (validator(value)) return
  const [error] = validator.errors ?? []
  if (error === undefined) throw new Problem([], 'invalid')
  explain(error, value)
}

function explain({instancePath, keyword, params}: SchemaError, document: unknown): never {
  const [path, value] = locate(document, instancePath)
  switch (keyword) {
    case 'required':
      throw new Problem([...path, String(params.missingProperty)], 'must be set')
    case 'type':
      throw new Problem(path, `must be ${TYPES[String(params.type)] ?? params.type}, not ${kindOf(value)}`)
    case 'minimum':
    case 'maximum':
      throw new Problem(path, `must be ${keyword === 'minimum' ? 'at least' : 'at most'} ${params.limit}, not ${value}`)
    case 'const':
      throw new Problem(path, `must be ${JSON.stringify(params.allowedValue)}, not ${kindOf(value)}`)
    case 'enum':
      throw new Problem(path, `must be one of ${JSON.stringify(params.allowedValues).slice(1, -1)}, not ${kindOf(value)}`)
    case 'pattern':
      return explainPattern(path, String(value), String(params.pattern))
    default:
      throw new Problem(path, `breaks the rule ${keyword}`)
  }
}

const TYPES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  integer: 'an integer',
  object: 'an object',
  string: 'a string',
}

/** Parsers of the same languages say which rule of theirs a text breaks. */
const PARSERS: ReadonlyMap<string, (text: string) => unknown> = new Map<string, (text: string) => unknown>([
  [PATTERNS.identifier, parseAcIdentifier],
  [PATTERNS.imageId, parseImageId],
  [PATTERNS.name, parseAcName],
])

const RULES: ReadonlyMap<string, string> = new Map([
  [PATTERNS.absolutePath, 'must be an absolute path'],
  [PATTERNS.environmentName, 'must begin with a letter or "_" and go on with letters, digits, "_", "." or "-"'],
])

function explainPattern(path: Path, value: string, pattern: string): never {
  if (pattern === PATTERNS.notEmpty) throw new Problem(path, 'must not be empty')
  const parse = PARSERS.get(pattern)
  if (parse !== undefined) within(path, () => parse(value))
  throw new Problem(path, `${RULES.get(pattern) ?? `must match ${pattern}`}, not ${quote(value)}`)
}

/** Follows a JSON pointer, list indices becoming numbers. */
function locate(document: unknown, pointer: string): [path: Path, value: unknown] {
  let value = document
  const path = pointer
    .split('/')
    .slice(1)
    .map((step) => {
      const key = step.replaceAll('~1', '/').replaceAll('~0', '~')
      const inList = Array.isArray(value)
      value = (value as Readonly<Record<string, unknown>>)[key]
      return inList ? Number(key) : key
    })
  return [path, value]
}

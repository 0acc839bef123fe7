import {causeChain} from '../errors.ts'
import {quote} from './text.ts'

/** A place inside a document, from its top. */
export type Path = readonly (string | number)[]

/** What is wrong with a document, and where. Whoever reads the document says which document it is. */
export class Problem extends Error {
  override readonly name = 'Problem'

  constructor(path: Path, rule: string) {
    super(path.length === 0 ? rule : `${formatPath(path)}: ${rule}`)
  }
}

/** `app.environment[2].name`; a key that is no word stands in quotes. */
function formatPath(path: Path): string {
  const steps = path.map((step) => {
    if (typeof step === 'number') return `[${step}]`
    return /^\w{1,64}$/.test(step) ? `.${step}` : `[${quote(step)}]`
  })
  return steps.join('').replace(/^\./, '')
}

/** Runs a parser of a text inside a document; what it refuses becomes a problem of that place. */
export function within<T>(path: Path, parse: () => T): T {
  try {
    return parse()
  } catch (thrown) {
    throw new Problem(path, causeChain(thrown).join(': '))
  }
}

/** Refuses the second entry that has a name which must be the only one. */
export function requireUnique(list: readonly {readonly name: string}[] | undefined, path: Path, what: string): void {
  const seen = new Set<string>()
  for (const [index, {name}] of list?.entries() ?? []) {
    if (seen.has(name)) throw new Problem([...path, index, 'name'], `duplicate ${what} ${quote(name)}`)
    seen.add(name)
  }
}

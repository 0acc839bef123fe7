/**
 * The one error type that a user can meet. Every module may import it; it imports nobody.
 */

/** Stable, documented in docs/errors.md: programs match on it, so it never changes its meaning. */
export type ErrorCode = `RKT_${string}`

export interface RktErrorOptions {
  readonly cause?: unknown
  /** rkt's own failures end with 254; the few others are listed in docs/errors.md. */
  readonly exitCode?: number
  /** What to do next, as a whole sentence in the imperative. */
  readonly hint?: string | undefined
}

/**
 * A failure that names its object. `message` is the outer sentence (lower case, no full stop); the innermost message of the
 * chain of causes is what a user sees behind it.
 */
export class RktError extends Error {
  readonly code: ErrorCode
  readonly exitCode: number
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, {cause, exitCode = 254, hint}: RktErrorOptions = {}) {
    super(message, cause === undefined ? undefined : {cause})
    this.name = new.target.name
    this.code = code
    this.exitCode = exitCode
    this.hint = hint
  }
}

/** The messages of a chain of causes, outermost first; a cycle ends it. */
export function causeChain(error: unknown): string[] {
  const seen = new Set<unknown>()
  const messages: string[] = []
  for (let at: unknown = error; at !== undefined && at !== null && !seen.has(at); at = at instanceof Error ? at.cause : undefined) {
    seen.add(at)
    messages.push(at instanceof Error ? sentenceOf(at.message) : String(at))
  }
  return messages
}

/** What `node:fs` throws, in the order of the other failures: `open /p: no such file or directory`. */
function sentenceOf(message: string): string {
  const [, text, op, path] = /^E[A-Z\d]+: ([^']+), (\w+) '(.*)'$/s.exec(message) ?? []
  return path === undefined ? message : `${op} ${path}: ${text}`
}

/** Any thrown value as an RktError; one that is not ours keeps its message as the cause of an internal failure. */
export function asRktError(thrown: unknown): RktError {
  if (thrown instanceof RktError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new RktError('RKT_INTERNAL', message, {cause: thrown instanceof Error ? thrown.cause : undefined})
}

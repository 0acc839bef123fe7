/** How a failure is shown. */

import {asRktError, causeChain} from '../errors.ts'

/** The lines of a failure on stderr: one, or with `debug` the whole chain of causes and the code; then the next step, if it is known. */
export function errorLines(thrown: unknown, prefix: string, {debug}: {debug: boolean}): string[] {
  const error = asRktError(thrown)
  const [message = '', ...causes] = causeChain(error)
  const innermost = causes.at(-1)
  const lines = debug
    ? [`${prefix}: ${message}`, ...causes.map((cause, index) => `${'  '.repeat(index + 1)}└─${cause}`), `${prefix}: code ${error.code}`]
    : [`${prefix}: ${[message, innermost].filter((part, index, parts) => part && parts.indexOf(part) === index).join(': ')}`]
  if (debug && error !== thrown && thrown instanceof Error && thrown.stack) lines.push(thrown.stack)
  if (error.hint !== undefined) lines.push(`${prefix}: ${error.hint}`)
  return lines
}

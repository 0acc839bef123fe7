/** How a failure is shown. */

import {asRktError, causeChain, type RktError} from '../errors.ts'

const isOfTransfer =
  /^RKT_(?:BAD_DISTRIBUTION|BAD_IMAGE|DISCOVERY|DOCKER_ARCHIVE|FETCH|HTTP|IMAGE_MISMATCH|IMAGE_NOT_FOUND|LAYER|NO_PLATFORM|OCI|REGISTRY|SIGNATURE|SIGSTORE)/

const namesItself = /[a-z]:\/\/|(?:^|\s)\/|sha\d+[-:]/

/** The lines of a failure on stderr: one, or with `debug` the whole chain of causes and the code; then the next step, if it is known. */
export function errorLines(thrown: unknown, prefix: string, {debug}: {debug: boolean}): string[] {
  const error = asRktError(thrown)
  const [message = '', ...causes] = causeChain(error)
  const innermost = causes.at(-1)
  const object = objectOf(error, causes)
  const lines = debug
    ? [`${prefix}: ${message}`, ...causes.map((cause, index) => `${'  '.repeat(index + 1)}└─${cause}`), `${prefix}: code ${error.code}`]
    : [`${prefix}: ${[message, object, innermost].filter((part, index, parts) => part && parts.indexOf(part) === index).join(': ')}`]
  if (debug && error !== thrown && thrown instanceof Error && thrown.stack) lines.push(thrown.stack)
  if (error.hint !== undefined) lines.push(`${prefix}: ${error.hint}`)
  return lines
}

/**
 * What it was about: the sentence before the innermost cause, where that one does not say so itself. Asked of failures of what comes from
 * elsewhere, a URL, an image, a layer or a key, and of the kernel's bare words.
 */
function objectOf(error: RktError, causes: readonly string[]): string | undefined {
  const innermost = causes.at(-1)
  if (innermost === undefined) return undefined
  if (isBare(error)) return causes.at(-2)
  if (!isOfTransfer.test(error.code)) return undefined
  return /^its? /.test(innermost) || !namesItself.test(innermost) ? causes.at(-2) : undefined
}

/** Whether the innermost cause is the kernel's text and nothing else. */
function isBare(error: Error): boolean {
  if (error.cause instanceof Error) return isBare(error.cause)
  return error.name === 'SystemError' && !error.message.includes(': ')
}

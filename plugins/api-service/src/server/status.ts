/** How failures reach a client. */

import {causeChain} from '@rkt/engine'

/** The codes of gRPC that we answer with. */
export const codes = {deadlineExceeded: 4, invalidArgument: 3, notFound: 5, resourceExhausted: 8, unknown: 2} as const

/** A trailer has to fit into the frames of HTTP/2 that clients take. */
const maxDetails = 2048

/** A failure with a code of its own; every other is UNKNOWN, as clients of rkt know it. */
export class StatusError extends Error {
  readonly code: number

  constructor(code: keyof typeof codes, details: string) {
    super(details)
    this.code = codes[code]
  }
}

/** What of a failure goes into the trailers: the sentence, then the innermost cause. */
export function statusOf(error: unknown): {readonly code: number; readonly details: string} {
  const [message = '', ...causes] = causeChain(error)
  const details = [message, ...causes.slice(-1)].join(': ').slice(0, maxDetails)
  return {code: error instanceof StatusError ? error.code : codes.unknown, details}
}

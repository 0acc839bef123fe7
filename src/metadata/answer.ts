/** What the service answers, as a value: the servers send it. */

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** The types to the letter: the specification's validator compares them so. */
const text = 'text/plain; charset=us-ascii'
const json = 'application/json'

export const ok = (body = ''): Answer => ({body, status: 200, type: text})
export const okJson = (body: string): Answer => ({body, status: 200, type: json})
export const refused = (status: number, body = ''): Answer => ({body, status, type: 'text/plain; charset=utf-8'})

/** What a request asks for: an answer at once, or one that its body is needed for, of at most `limit` bytes. */
export type Route = Answer | {readonly limit: number; readonly read: (body: Buffer) => Answer}

export interface Asked {
  readonly method: string
  /** The path's parts, decoded. */
  readonly parts: readonly string[]
  readonly query: URLSearchParams
}

/** The parts of a request's target, or undefined when it cannot be decoded. */
export function parseTarget(method: string, target: string): Asked | undefined {
  const [path = '', ...query] = target.split('?')
  try {
    const parts = path.split('/').slice(1).map(decodeURIComponent)
    return {method, parts, query: new URLSearchParams(query.join('?'))}
  } catch {
    // A % without two digits, or bytes that are no UTF-8.
    return undefined
  }
}

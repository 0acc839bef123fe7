import {RktError} from '../errors.ts'
import {plainText, redactUrl} from '../http/index.ts'

/** What a registry says in the body of a refusal, as ` (CODE: message)`; empty where it says nothing that can be read. */
export function registryMessage(body: Uint8Array): string {
  let document: unknown
  try {
    document = JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    return '' // a page for people, or nothing
  }
  const {details, errors, message} = (document ?? {}) as Record<string, unknown>
  const list: readonly unknown[] = Array.isArray(errors) ? errors : []
  const said = list.slice(0, 3).flatMap((entry) => {
    const {code, message: text} = (entry ?? {}) as Record<string, unknown>
    const parts = [code, text].filter((part): part is string => typeof part === 'string' && part !== '')
    return parts.length === 0 ? [] : [parts.join(': ')]
  })
  const other = [message, details].find((text) => typeof text === 'string' && text !== '')
  const all = said.length > 0 ? said.join('; ') : typeof other === 'string' ? other : ''
  return all === '' ? '' : ` (${plainText(all)})`
}

interface Refusal {
  readonly body: Uint8Array
  readonly requested: URL
  readonly retryAfter: string | undefined
  readonly status: number
  /** What was asked for, for people: `the manifest of quay.io/a:b`. */
  readonly what: string
  readonly host: string
  /** Where the credentials came from that were shown; null for none. */
  readonly origin: string | null
}

/** The failure that an answer of a registry is. */
export function refusalError({body, host, origin, requested, retryAfter, status, what}: Refusal): RktError {
  const cause = new Error(`Unexpected HTTP code: ${status}, URL: ${redactUrl(requested)}${registryMessage(body)}`)
  switch (status) {
    case 401:
    case 403:
      return new RktError('RKT_REGISTRY_DENIED', `${host} does not give ${what}`, {
        cause,
        hint:
          origin === null
            ? `It may not exist, or need credentials: a dockerAuth file in /etc/rkt/auth.d, or "docker login ${host}".`
            : `It may not exist, or the credentials of ${origin} may not reach so far.`,
      })
    case 404:
      return new RktError('RKT_IMAGE_NOT_FOUND', `${host} has not ${what}`, {
        cause,
        hint: origin === null ? 'Registries also say so of private images, where credentials are needed.' : undefined,
      })
    case 429:
      return new RktError('RKT_REGISTRY_LIMIT', `${host} takes no more requests for now`, {
        cause,
        hint:
          retryAfter === undefined ? 'Try again later, or with credentials.' : `It asks to wait: Retry-After: ${plainText(retryAfter)}.`,
      })
    default:
      return new RktError('RKT_HTTP_STATUS', `${host} does not give ${what}`, {cause})
  }
}

/** Bytes that are not those that were announced. */
export function contentError(what: string, why: string): RktError {
  return new RktError('RKT_REGISTRY_CONTENT', `${what} is not what the registry announced`, {cause: new Error(why)})
}

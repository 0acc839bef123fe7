import {getSystemErrorMap} from 'node:util'
import {RktError} from '../errors.ts'
import {redactUrl} from './redact.ts'

/** A failure below HTTP, with the name of its errno or of OpenSSL's or Node's code. */
export interface LowError {
  readonly code: string
  readonly text: string
}

const texts: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'temporary failure in name resolution',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by peer',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ENOTFOUND: 'no such host',
  EPIPE: 'broken pipe',
  ETIMEDOUT: 'connection timed out',
}

const certificateCodes =
  /^(?:CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|ERR_SSL_EE_KEY)/

/** Connections that broke may hold the next time; one that is refused, or a name that is none, will not in a second. */
const transientCodes = new Set(['EAI_AGAIN', 'ECONNABORTED', 'ECONNRESET', 'EPIPE', 'HPE_INVALID_EOF_STATE'])

export const isTransient = (error: unknown): boolean => transientCodes.has(lowError(error).code)

const noTls = 'the server does not speak TLS'

/** The code and the words of whatever node:http threw. Nothing else of it goes on: it may hold what was sent. */
export function lowError(thrown: unknown): LowError {
  const error = thrown instanceof AggregateError && thrown.errors.length > 0 ? thrown.errors[0] : thrown
  const {address, code, hostname, message, port, reason, syscall} = (error ?? {}) as Record<string, unknown>
  const name = typeof code === 'string' ? code : ''
  if (name === 'EPROTO' || name.startsWith('ERR_SSL_')) {
    const words = `${reason ?? message ?? name}`
    const wrong = /wrong version number|packet length too long|record layer failure/i.test(words)
    return {code: name, text: wrong ? noTls : `TLS: ${openSslReason(words)}`}
  }
  const text = texts[name] ?? systemText(name)
  if (text === undefined) return {code: name, text: String(message ?? thrown)}
  const what = typeof address === 'string' ? `${address}${port === undefined ? '' : `:${port}`}` : hostname
  return {code: name, text: typeof syscall === 'string' && typeof what === 'string' ? `${verb(syscall)} ${what}: ${text}` : text}
}

const verb = (syscall: string): string => (syscall.startsWith('getaddrinfo') ? 'lookup' : syscall)

const openSslReason = (words: string): string => /:SSL routines:[^:]*:([^:]+):/.exec(words)?.[1] ?? words.split('\n')[0] ?? words

function systemText(name: string): string | undefined {
  if (!/^E[A-Z\d_]+$/.test(name)) return undefined
  for (const [known, message] of getSystemErrorMap().values()) if (known === name) return message
  return undefined
}

/** Why there is no answer from `url`, as a failure that a user can act on. */
export function transportError(thrown: unknown, method: string, url: URL): RktError {
  if (thrown instanceof RktError) return thrown
  const {code, text} = lowError(thrown)
  const cause = new Error(text)
  const shown = redactUrl(url)
  if (certificateCodes.test(code)) {
    return new RktError('RKT_HTTP_CERTIFICATE', `the certificate of ${url.host} is not trusted`, {
      cause,
      hint: 'Name the file of its certificate authority in SSL_CERT_FILE, or skip the check with --insecure-options=tls.',
    })
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const hint = text === noTls ? 'A registry without TLS has to be allowed with --insecure-options=http.' : undefined
    return new RktError('RKT_HTTP_TLS', `no TLS connection with ${url.host}`, {cause, hint})
  }
  if (code.startsWith('HPE_')) return new RktError('RKT_HTTP_PROTOCOL', `${shown} answers with bad HTTP`, {cause})
  if (code === 'ERR_INVALID_CHAR' || code === 'ERR_INVALID_HTTP_TOKEN') {
    return new RktError('RKT_HTTP_PROTOCOL', `a header for ${shown} holds a character that no header may hold`)
  }
  if (code === 'ERR_PROXY_TUNNEL' || code === 'ERR_PROXY_INVALID_CONFIG') {
    return new RktError('RKT_HTTP_UNREACHABLE', `cannot reach ${shown} through the proxy`, {
      cause: new Error(text.replace(/^(Failed to establish tunnel to \S+).*?: ?(HTTP.*)?$/s, '$1 $2').trim()),
    })
  }
  return new RktError('RKT_HTTP_UNREACHABLE', `cannot ${method === 'HEAD' ? 'look up' : 'reach'} ${shown}`, {cause})
}

export function timeoutError(url: URL, why: string): RktError {
  return new RktError('RKT_HTTP_TIMEOUT', `cannot reach ${redactUrl(url)}`, {cause: new Error(why)})
}

/** The failure that an answer is whose status is not one that was hoped for. */
export function statusError(
  {requested, status}: {readonly requested: URL; readonly status: number},
  {hint, said = `bad HTTP status code: ${status}`}: {hint?: string; said?: string} = {},
): RktError {
  return new RktError('RKT_HTTP_STATUS', `cannot fetch ${redactUrl(requested)}`, {
    cause: new Error(said),
    hint: hint ?? statusHints.get(status),
  })
}

const statusHints: ReadonlyMap<number, string> = new Map([
  [401, 'Put credentials for the host into a file in /etc/rkt/auth.d.'],
  [407, 'The proxy wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT.'],
  [429, 'The server takes no more requests for now; try again later.'],
])

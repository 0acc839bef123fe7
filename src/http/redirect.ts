import type {IncomingMessage} from 'node:http'
import {RktError} from '../errors.ts'
import {plainText} from './redact.ts'

export const maxRedirects = 10

const redirects = new Set([301, 302, 303, 307, 308])

/**
 * Where an answer leads, or null if it is no redirect. A user and a password in it are not believed: they would be the server's.
 * @throws RktError RKT_HTTP_REDIRECT for what is no http URL
 */
export function redirectTarget({headers: {location}, statusCode}: IncomingMessage, base: URL): URL | null {
  if (!redirects.has(statusCode ?? 0) || location === undefined) return null
  const target = URL.parse(location, base.href)
  if (target?.protocol !== 'http:' && target?.protocol !== 'https:') {
    throw new RktError('RKT_HTTP_REDIRECT', `${base.host} redirects to ${JSON.stringify(plainText(location))}, which is no http URL`)
  }
  target.username = ''
  target.password = ''
  target.hash = ''
  return target
}

/** A URL without its user and password, and the header that they mean. */
export function withoutCredentials(url: URL): readonly [URL, Readonly<Record<string, string>>] {
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  bare.hash = ''
  if (url.username === '' && url.password === '') return [bare, {}]
  const pair = Buffer.from(`${decode(url.username)}:${decode(url.password)}`).toString('base64')
  return [bare, {Authorization: `Basic ${pair}`}]
}

/** A lone `%` stands for itself. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

import type {ClientRequest, IncomingMessage, RequestOptions} from 'node:http'
import {RktError} from '../errors.ts'

export interface GetOptions {
  readonly headers: Readonly<Record<string, string>>
  /** Sent to hosts that it belongs to and over https only. */
  readonly authorization?: ((url: URL) => string | undefined) | undefined
  /** Certificates are not checked. */
  readonly insecureTls: boolean
}

const MAX_REDIRECTS = 10
/** A server that says nothing for so long is taken for gone; a transfer as a whole may last. */
const IDLE_MS = 60_000
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/** The answer to a GET, redirects followed; whatever its status is. The caller reads the body or destroys it. */
export async function httpGet(start: URL, options: GetOptions): Promise<IncomingMessage> {
  let url = start
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const response = await once(url, options)
    const {location} = response.headers
    if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) return response
    response.destroy()
    url = redirectTarget(location, url)
  }
  throw new RktError('RKT_FETCH_FAILED', 'too many redirects')
}

function redirectTarget(location: string, base: URL): URL {
  const target = URL.parse(location, base.href)
  if (target?.protocol === 'http:' || target?.protocol === 'https:') return target
  throw new RktError('RKT_FETCH_FAILED', `redirected to ${JSON.stringify(location)}, which is no http URL`)
}

async function once(url: URL, {authorization, headers, insecureTls}: GetOptions): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:'
  const {Agent, request} = secure ? await import('node:https') : await import('node:http')
  const credentials = secure ? authorization?.(url) : undefined
  // HTTP_PROXY, HTTPS_PROXY and NO_PROXY; loopback is never proxied
  const proxyEnv = isLoopback(url) ? {} : process.env
  const agent = new Agent({keepAlive: false, proxyEnv} as ConstructorParameters<typeof Agent>[0])
  const options: RequestOptions & {rejectUnauthorized?: boolean} = {
    agent,
    headers: {...headers, ...(credentials === undefined ? {} : {Authorization: credentials})},
    rejectUnauthorized: !insecureTls,
    timeout: IDLE_MS,
  }
  return await new Promise((resolve, reject) => {
    const sent: ClientRequest = request(url, options, resolve)
    sent.on('timeout', () => sent.destroy(new Error(`${url.host} did not answer for ${IDLE_MS / 1000} seconds`)))
    sent.on('error', reject)
    sent.end()
  })
}

function isLoopback({hostname}: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** A URL as messages may show it: without a password. */
export function redactUrl(text: string): string {
  return text.replace(/^([a-z][a-z\d+.-]*:\/\/[^/?#@:]*):[^/?#@]*@/i, '$1:***@')
}

import type {IncomingMessage} from 'node:http'
import {RktError} from '../errors.ts'
import {Agents} from './agents.ts'
import {exchange} from './exchange.ts'
import {isTransient, lowError, transportError} from './failures.ts'
import {bodyBytes} from './read-bounded.ts'
import {redactUrl} from './redact.ts'
import {maxRedirects, redirectTarget, withoutCredentials} from './redirect.ts'
import {defaultRetry, isRetriedStatus, pause, pauseMs} from './retry.ts'
import type {HttpClient, HttpDocument, HttpOptions, HttpResponse, ReadOptions, RequestOptions, RetryPolicy} from './types.ts'

/** A client with its own connections; what it needs is loaded by the first request. */
export function openHttp(options: HttpOptions): HttpClient {
  return new Client(options)
}

class Client implements HttpClient {
  readonly retry: RetryPolicy
  readonly #agents: Agents
  readonly #options: HttpOptions

  constructor(options: HttpOptions) {
    const {debug = () => {}, environment, insecureTls = false, retry} = options
    this.#agents = new Agents({debug, environment, insecureTls})
    this.#options = options
    this.retry = {...defaultRetry, ...retry}
  }

  request(url: URL, options: RequestOptions = {}): Promise<HttpResponse> {
    return this.#persist(url, options, async (response) => response)
  }

  read(url: URL, {gzip = false, limit, ...options}: ReadOptions): Promise<HttpDocument> {
    const headers = gzip ? {'Accept-Encoding': 'gzip', ...options.headers} : (options.headers ?? {})
    return this.#persist(url, {...options, headers}, async (response) => {
      const {method, requested, status} = response
      const bytes = await bodyBytes(response, {gzip, limit})
      return {bytes, headers: response.headers, method, requested, status, url: response.url}
    })
  }

  /** Asks until there is an answer that `use` can read to its end, and that is not worth another attempt. */
  async #persist<T>(url: URL, options: RequestOptions, use: (response: HttpResponse) => Promise<T>): Promise<T> {
    const attempts = options.attempts ?? this.retry.attempts
    for (let attempt = 1; ; attempt++) {
      let wait: number | null
      try {
        const response = await this.#follow(url, options)
        const last = attempt >= attempts || !isRetriedStatus(response.status)
        wait = last ? null : pauseMs(attempt, this.retry, response.headers['retry-after'])
        if (wait === null) return await use(response)
        response.discard()
        this.#debug(`${redactUrl(url)} answered ${response.status}, asking again in ${Math.round(wait)} ms`)
      } catch (thrown) {
        options.signal?.throwIfAborted()
        wait = attempt < attempts && isTransient(thrown) ? pauseMs(attempt, this.retry, undefined) : null
        if (wait === null) throw transportError(thrown, options.method ?? 'GET', url)
        this.#debug(`${redactUrl(url)}: ${lowError(thrown).text}, asking again in ${Math.round(wait)} ms`)
      }
      await pause(wait, options.signal)
    }
  }

  /** One attempt: the request and those that redirects lead to. */
  async #follow(requested: URL, options: RequestOptions): Promise<HttpResponse> {
    const {allowDowngrade = false, body, headers = {}, method = 'GET', signal} = options
    const [start, ownCredentials] = withoutCredentials(requested)
    const seen = new Set<string>()
    let url = start
    let atHome = true
    for (;;) {
      seen.add(url.href)
      const common = {'User-Agent': this.#options.userAgent ?? 'rkt/2.0.0', ...publicHeaders(headers)}
      const secret = atHome ? {...ownCredentials, ...secretHeaders(headers), ...options.authorize?.({headers: common, method, url})} : {}
      const message = await exchange({
        agent: await this.#agents.for(url),
        body,
        connectTimeoutMs: this.#options.connectTimeoutMs ?? 30_000,
        headers: {...common, ...secret},
        idleTimeoutMs: this.#options.idleTimeoutMs ?? 60_000,
        method,
        signal,
        url,
      })
      const target = method === 'POST' ? null : redirectTarget(message, url)
      if (target === null) return response(message, {method, requested, url})
      discard(message)
      if (url.protocol === 'https:' && target.protocol === 'http:' && !allowDowngrade) {
        throw redirectError(requested, `it leads from https to ${redactUrl(target.origin)}`)
      }
      if (seen.has(target.href)) throw redirectError(requested, `it leads in a circle, back to ${redactUrl(target)}`)
      if (seen.size > maxRedirects) throw redirectError(requested, 'too many redirects')
      // Once left, credentials stay behind, even when a further redirect leads back.
      atHome &&= target.origin === url.origin
      url = target
    }
  }

  #debug(message: string): void {
    this.#options.debug?.(message)
  }

  close(): void {
    this.#agents.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

const isSecret = (name: string): boolean => /^(?:authorization|cookie|proxy-authorization|x-docker-token)$/i.test(name)
const publicHeaders = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !isSecret(name)))
const secretHeaders = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => isSecret(name)))

function redirectError(requested: URL, why: string): RktError {
  return new RktError('RKT_HTTP_REDIRECT', `cannot follow the redirect of ${redactUrl(requested)}`, {cause: new Error(why)})
}

function response(message: IncomingMessage, {method, requested, url}: {method: string; requested: URL; url: URL}): HttpResponse {
  return {
    body: message,
    discard: () => discard(message),
    headers: message.headers,
    method,
    requested,
    status: message.statusCode ?? 0,
    url,
  }
}

/** A short rest is read, which keeps the connection; a longer one is not worth it. */
function discard(message: IncomingMessage): void {
  const length = Number(message.headers['content-length'] ?? Number.NaN)
  const bodyless = message.statusCode === 204 || message.statusCode === 304
  if (message.complete || bodyless || length <= 65_536) message.on('error', () => {}).resume()
  else message.destroy()
}

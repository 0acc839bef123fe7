import type {IncomingHttpHeaders, IncomingMessage} from 'node:http'

export interface HttpOptions {
  /**
   * The caller's environment: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` (lower case wins), `SSL_CERT_FILE`, `SSL_CERT_DIR` and
   * `NODE_EXTRA_CA_CERTS` are read of it.
   */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Certificates are not checked. */
  readonly insecureTls?: boolean
  readonly userAgent?: string
  /** Told what is worth knowing with `--debug`; never a secret. */
  readonly debug?: (message: string) => void
  /** Until a connection stands, TLS included; 30 s. */
  readonly connectTimeoutMs?: number
  /** A server that says nothing for so long is taken for gone; 60 s. A transfer as a whole may last. */
  readonly idleTimeoutMs?: number
  readonly retry?: Partial<RetryPolicy>
}

export interface RetryPolicy {
  /** Attempts in all. */
  readonly attempts: number
  /** The first pause; each further one is twice as long. */
  readonly baseMs: number
  /** No pause is longer. A server that asks for a longer one (`Retry-After`) is not asked again. */
  readonly capMs: number
}

/** Headers that prove who asks, for exactly this request. */
export type Authorize = (request: {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
}) => Readonly<Record<string, string>>

export interface RequestOptions {
  readonly method?: 'GET' | 'HEAD' | 'POST'
  /** `Authorization` and `Cookie` stay with the origin of the URL: a redirect elsewhere goes without them. */
  readonly headers?: Readonly<Record<string, string>>
  /** Asked for each request to the origin of the URL, and for none to another. */
  readonly authorize?: Authorize | undefined
  /** Of a POST, whose redirects are not followed. */
  readonly body?: string
  /** Whether a redirect may lead from https to http; not by default. */
  readonly allowDowngrade?: boolean
  /** Attempts in all, instead of the client's. */
  readonly attempts?: number
  readonly signal?: AbortSignal | undefined
}

export interface ReadOptions extends RequestOptions {
  /** A longer body is refused. */
  readonly limit: number
  /** Lets the server compress; the limit counts for the plain bytes too. */
  readonly gzip?: boolean
}

export interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The URL that answered, after redirects. */
  readonly url: URL
  /** The URL that was asked for. */
  readonly requested: URL
  readonly method: string
  /** Must be read to its end, or given up with `discard`. */
  readonly body: IncomingMessage
  /** Gives the body up. */
  discard(): void
}

export interface HttpDocument {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly url: URL
  readonly requested: URL
  readonly method: string
  readonly bytes: Buffer
}

export interface HttpClient extends Disposable {
  /**
   * The answer to a request, whatever its status is, redirects followed. Connections that broke, answers 5xx and 429 are tried again
   * first, by `Retry-After` where the server names it.
   * @throws RktError RKT_HTTP_UNREACHABLE, RKT_HTTP_CERTIFICATE, RKT_HTTP_TLS, RKT_HTTP_REDIRECT, RKT_HTTP_PROTOCOL, RKT_HTTP_TIMEOUT
   */
  request(url: URL, options?: RequestOptions): Promise<HttpResponse>
  /**
   * A small document as a whole, whatever its status is; a body that was cut is asked for again.
   * @throws RktError as `request`, and RKT_HTTP_TOO_LARGE, RKT_HTTP_TRUNCATED
   */
  read(url: URL, options: ReadOptions): Promise<HttpDocument>
  /** How often, and how long apart, broken transfers are taken up again. */
  readonly retry: RetryPolicy
  /** Ends idle connections. */
  close(): void
}

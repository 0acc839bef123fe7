import type {IncomingHttpHeaders} from 'node:http'
import type {Readable} from 'node:stream'
import {RktError} from '../errors.ts'
import {isTransient, lowError, transportError} from './failures.ts'
import {redactUrl} from './redact.ts'
import {pause, pauseMs} from './retry.ts'
import type {HttpResponse, RetryPolicy} from './types.ts'

export interface TransferOptions {
  /** Sends the request with these headers added; called again where a body was cut, so that redirects are followed anew. */
  readonly open: (headers: Readonly<Record<string, string>>) => Promise<HttpResponse>
  readonly retry: RetryPolicy
  /** The length of the whole, where it is known: exactly so many bytes come, or an error. */
  readonly size?: number | undefined
  /** Bytes that the caller has of an earlier attempt. */
  readonly offset?: number | undefined
  /** What the earlier bytes are of: a strong ETag or a date. Without it, and without `immutable`, they are not used. */
  readonly validator?: string | undefined
  /** The content under the URL never changes, or is verified by the reader: continued whatever the server says of its version. */
  readonly immutable?: boolean
  readonly debug?: ((message: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Transfer {
  /** Of the first answer: 200 and 206 have a body; of any other the body is empty, or what the server says of it (see `response`). */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly url: URL
  readonly response: HttpResponse
  /** Where the body begins in the whole: the caller's offset if the server continues there, else 0. */
  readonly start: number
  /** The length of the whole, null if the server did not say. */
  readonly total: number | null
  /** The bytes from `start` on; it goes on with a range request where a connection breaks. */
  readonly body: Readable
}

/**
 * Opens a body that survives broken connections. 200 to a request for a range means the whole again: the part that the reader has is
 * passed over. An answer other than 200 and 206 is handed on for the caller to judge, and so is 416, but for 416 to an offset that is
 * the end: that is an empty rest.
 */
export async function openTransfer(options: TransferOptions): Promise<Transfer> {
  const {Readable} = await import('node:stream')
  const {immutable = false, offset = 0, size, validator} = options
  const usable = offset > 0 && (immutable || validator !== undefined)
  const first = await options.open(usable ? rangeFrom(offset, immutable ? undefined : validator) : {})
  const {headers, status, url} = first
  const common = {headers, response: first, status, url}
  if (status === 416 && usable && totalOf(first, 0) === offset) {
    first.discard()
    return {...common, body: Readable.from([]), start: offset, total: offset}
  }
  if (status !== 200 && status !== 206) return {...common, body: first.body, start: 0, total: null}
  const start = status === 206 ? rangeStart(first) : 0
  if (status === 206 && start !== (usable ? offset : 0)) {
    first.discard()
    throw badRange(first, usable ? offset : 0)
  }
  const total = totalOf(first, start)
  if (size !== undefined && total !== null && total !== size) {
    first.discard()
    throw wrongSize(first, size, total)
  }
  const body = Readable.from(continued(first, {options, start, total: size ?? total}), {highWaterMark: 1 << 18, objectMode: false})
  return {...common, body, start, total}
}

interface Course {
  readonly options: TransferOptions
  readonly start: number
  readonly total: number | null
}

async function* continued(first: HttpResponse, {options, start, total}: Course): AsyncGenerator<Buffer> {
  const {debug, immutable = false, retry, signal} = options
  const validator = validatorOf(first)
  let response = first
  let position = start
  let skip = 0
  let failures = 0
  for (;;) {
    let broken: unknown
    const before = position
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        const fresh = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.length))
        skip -= chunk.length - fresh.length
        if (fresh.length === 0) continue
        position += fresh.length
        if (total !== null && position > total) throw wrongSize(first, total, null)
        yield fresh
      }
      if (skip > 0 || (total !== null && position < total))
        broken = new CutError(`the body ended after ${position} of ${total ?? '?'} bytes`)
      else return
    } catch (thrown) {
      signal?.throwIfAborted()
      if (!isCut(thrown)) throw transportError(thrown, first.method, first.requested)
      broken = thrown
    }
    // a server that lets through a little each time is not served for ever
    failures = position - before >= 1 << 16 ? 1 : failures + 1
    for (;;) {
      const text = lowError(broken).text
      if (failures >= retry.attempts || (!immutable && validator === undefined && position > 0))
        throw cutError(first, position, total, text)
      const wait = pauseMs(failures, retry, undefined) ?? retry.capMs
      debug?.(`${redactUrl(first.requested)} broke off after ${position} bytes (${text}), continuing in ${Math.round(wait)} ms`)
      await pause(wait, signal)
      try {
        response = await options.open(position > 0 ? rangeFrom(position, immutable ? undefined : validator) : {})
      } catch (thrown) {
        if (!isCut(thrown)) throw thrown
        broken = thrown
        failures++
        continue
      }
      break
    }
    if (response.status === 416 && total === null && totalOf(response, 0) === position) {
      response.discard()
      return
    }
    skip = continuation(response, {first, immutable, position, total, validator})
  }
}

interface Continuation {
  readonly first: HttpResponse
  readonly immutable: boolean
  readonly position: number
  readonly total: number | null
  readonly validator: string | undefined
}

/** How many bytes of this answer the reader has already. */
function continuation(response: HttpResponse, {first, immutable, position, total, validator}: Continuation): number {
  const refuse = (error: RktError): never => {
    response.discard()
    throw error
  }
  if (response.status !== 200 && response.status !== 206) {
    return refuse(cutError(first, position, total, `bad HTTP status code: ${response.status}`))
  }
  const start = response.status === 206 ? rangeStart(response) : 0
  if (response.status === 206 && start !== position) refuse(badRange(response, position))
  const whole = totalOf(response, start)
  const changed = (!immutable && validatorOf(response) !== validator) || (whole !== null && total !== null && whole !== total)
  if (changed) refuse(cutError(first, position, total, 'the file changed on the server meanwhile'))
  return response.status === 206 ? 0 : position
}

class CutError extends Error {}

const isCut = (thrown: unknown): boolean =>
  thrown instanceof CutError ||
  isTransient(thrown) ||
  (thrown instanceof RktError && (thrown.code === 'RKT_HTTP_TIMEOUT' || thrown.code === 'RKT_HTTP_UNREACHABLE'))

const rangeFrom = (position: number, validator: string | undefined): Record<string, string> => ({
  Range: `bytes=${position}-`,
  ...(validator === undefined ? {} : {'If-Range': validator}),
})

/** A strong ETag, or else the date of the last change: what `If-Range` can compare. */
function validatorOf({headers}: HttpResponse): string | undefined {
  const {etag} = headers
  return etag !== undefined && !etag.startsWith('W/') ? etag : headers['last-modified']
}

const rangeOf = ({headers}: HttpResponse) => /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(?:(\d{1,15})|\*)$/.exec(headers['content-range'] ?? '')

function rangeStart(response: HttpResponse): number {
  const [, start] = rangeOf(response) ?? []
  return start === undefined ? -1 : Number(start)
}

function totalOf(response: HttpResponse, start: number): number | null {
  const [, , , whole] = rangeOf(response) ?? []
  if (whole !== undefined && response.status !== 200) return Number(whole)
  const length = response.headers['content-length']
  return length !== undefined && /^\d{1,15}$/.test(length) && response.status < 300 ? start + Number(length) : null
}

function badRange(response: HttpResponse, wanted: number): RktError {
  return new RktError('RKT_HTTP_PROTOCOL', `${redactUrl(response.requested)} sends another range than asked for`, {
    cause: new Error(`asked for the bytes from ${wanted} on, answered ${JSON.stringify(response.headers['content-range'] ?? '')}`),
  })
}

function wrongSize({requested}: HttpResponse, size: number, announced: number | null): RktError {
  return new RktError('RKT_HTTP_SIZE', `${redactUrl(requested)} has not the ${size} bytes that it should have`, {
    cause: new Error(announced === null ? `more than ${size} bytes came` : `the server announces ${announced} bytes`),
  })
}

function cutError(first: HttpResponse, position: number, total: number | null, why: string): RktError {
  const of = total === null ? `${position} bytes` : `${position} of ${total} bytes`
  return new RktError('RKT_HTTP_TRUNCATED', `${redactUrl(first.requested)} broke off after ${of}`, {cause: new Error(why)})
}

import type {Readable} from 'node:stream'
import {RktError} from '../errors.ts'
import {redactUrl} from './redact.ts'
import type {HttpResponse} from './types.ts'

/**
 * The whole body of a response, if it is at most `limit` bytes; a longer one is refused as soon as it is known to be longer.
 * @throws RktError RKT_HTTP_TOO_LARGE, RKT_HTTP_TRUNCATED
 */
export async function readBounded(response: HttpResponse, limit: number): Promise<Buffer> {
  try {
    return await bodyBytes(response, {gzip: false, limit})
  } catch (thrown) {
    if (thrown instanceof RktError) throw thrown
    throw truncated(response)
  }
}

/** The same, with errors of the connection as they come, for those who ask again. */
export async function bodyBytes(response: HttpResponse, {gzip, limit}: {gzip: boolean; limit: number}): Promise<Buffer> {
  const announced = Number(response.headers['content-length'] ?? 0)
  const isGzip = gzip && /^(?:x-)?gzip$/i.test(response.headers['content-encoding'] ?? '')
  if (response.method !== 'HEAD' && announced > limit) {
    response.discard()
    throw tooLarge(response, limit)
  }
  const wire = await collect(response.body, limit, response)
  if (!isGzip || wire.length === 0) return wire
  const {createGunzip} = await import('node:zlib')
  const gunzip = createGunzip()
  gunzip.end(wire)
  try {
    return await collect(gunzip, limit, response)
  } catch (thrown) {
    if (thrown instanceof RktError) throw thrown
    throw new RktError('RKT_HTTP_PROTOCOL', `${redactUrl(response.requested)} is not compressed as it says`, {cause: thrown})
  }
}

async function collect(stream: Readable, limit: number, response: HttpResponse): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > limit) throw tooLarge(response, limit) // leaving the loop destroys the stream
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function tooLarge({requested}: HttpResponse, limit: number): RktError {
  return new RktError('RKT_HTTP_TOO_LARGE', `${redactUrl(requested)} is larger than the ${limit} bytes that it may be`)
}

function truncated({requested}: HttpResponse): RktError {
  return new RktError('RKT_HTTP_TRUNCATED', `${redactUrl(requested)} broke off`)
}

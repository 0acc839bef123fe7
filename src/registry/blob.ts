import {createHash} from 'node:crypto'
import type {Readable} from 'node:stream'
import type {Descriptor} from '../oci/index.ts'
import {contentError} from './failures.ts'

/** The same bytes, whose number was checked, with an error in place of the end if their digest is another than the descriptor's. */
export async function verifiedBlob(source: Readable, {digest}: Pick<Descriptor, 'digest'>, what: string): Promise<Readable> {
  const {Readable} = await import('node:stream')
  return Readable.from(checked(source, digest, what), {highWaterMark: 1 << 18, objectMode: false})
}

async function* checked(source: Readable, digest: string, what: string): AsyncGenerator<Buffer> {
  const algorithm = digest.slice(0, digest.indexOf(':'))
  const hash = createHash(algorithm)
  for await (const chunk of source as AsyncIterable<Buffer>) {
    hash.update(chunk)
    yield chunk
  }
  const actual = `${algorithm}:${hash.digest('hex')}`
  if (actual !== digest) throw contentError(what, `its digest is ${actual}`)
}

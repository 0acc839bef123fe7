import {createHash} from 'node:crypto'
import {RktError} from '../errors.ts'

/** `sha256:` and 64, or `sha512:` and 128 lower-case hex digits: what we can verify, and so may trust. */
export type Digest = `${'sha256' | 'sha512'}:${string}`

const lengths: Readonly<Record<string, number>> = {sha256: 64, sha512: 128}

/**
 * A content digest by the grammar of the OCI image specification ("Digests").
 * @throws RktError RKT_BAD_DIGEST for another grammar, or an algorithm that we cannot check
 */
export function parseDigest(text: string): Digest {
  const [, algorithm = '', encoded = ''] = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(text) ?? []
  const length = Object.hasOwn(lengths, algorithm) ? lengths[algorithm] : undefined
  if (algorithm !== '' && length === undefined) {
    throw new RktError('RKT_BAD_DIGEST', `digest ${JSON.stringify(text.slice(0, 200))} uses "${algorithm}", which cannot be verified here`)
  }
  if (length === undefined || !new RegExp(`^[\\da-f]{${length}}$`).test(encoded)) {
    throw new RktError('RKT_BAD_DIGEST', `${JSON.stringify(text.slice(0, 200))} is not a digest`, {
      hint: 'A digest is "sha256:" and 64 lower-case hex digits.',
    })
  }
  return text as Digest
}

/** The digest of some bytes, by the algorithm of another digest or sha256. */
export function digestOf(bytes: Uint8Array, like?: Digest): Digest {
  const algorithm = like?.startsWith('sha512:') ? 'sha512' : 'sha256'
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

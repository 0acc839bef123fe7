import {type ImageIdentity, parseDigest} from '../oci/index.ts'

/** Reads the identity that a record holds. */
export function decodeIdentity(value: unknown): ImageIdentity {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('identity is not an object')
  const {host, manifestDigest, repository, tag, topLayer, typed} = value as Record<string, unknown>
  if (typeof host !== 'string' || typeof repository !== 'string' || typeof typed !== 'string') throw new Error('identity is none')
  if (tag !== null && typeof tag !== 'string') throw new Error('tag is not a text')
  return {
    host,
    manifestDigest: parseDigest(String(manifestDigest)),
    repository,
    tag,
    ...(topLayer === undefined ? {} : {topLayer: parseDigest(String(topLayer))}),
    typed,
  }
}

import {RktError} from '../errors.ts'

declare const brand: unique symbol

/** `sha512-` and the first 64 hex digits of the SHA-512 of an image's uncompressed tar. */
export type ImageKey = string & {readonly [brand]: 'ImageKey'}

/** `sha256:` and at least two hex digits: the beginning of an image's OCI digest. */
export function looksLikeDigest(text: string): boolean {
  return /^sha256:[\da-f]{2,64}$/.test(text)
}

const PREFIX = 'sha512-'
const KEY_LENGTH = PREFIX.length + 64
const KEY = /^sha512-[\da-f]{64}$/
const PREFIX_OF_KEY = /^sha512-[\da-f]{2,64}$/

/** The key of an image whose tar has this SHA-512 (at least 64 lower-case hex digits). */
export function keyOfDigest(sha512: string): ImageKey {
  const key = `${PREFIX}${sha512.slice(0, 64)}`
  if (!isImageKey(key)) throw new RktError('RKT_INTERNAL', `"${sha512}" is not a SHA-512`)
  return key
}

export function isImageKey(text: string): text is ImageKey {
  return KEY.test(text)
}

/**
 * Whether a word of the command line is meant as an image ID: `sha512-` and something without another dash, or an OCI digest or its
 * beginning.
 */
export function looksLikeImageId(text: string): boolean {
  if (looksLikeDigest(text)) return true
  return text.startsWith(PREFIX) && text.length > PREFIX.length && !text.includes('-', PREFIX.length)
}

/** What an image ID of the command line may be compared with: a whole key or the beginning of one; null matches no key. */
export function keyPrefix(text: string): string | null {
  if (!text.startsWith(PREFIX)) throw new RktError('RKT_IMAGE_ID_INVALID', 'wrong key prefix')
  if (text.length < PREFIX.length + 2) {
    throw new RktError('RKT_IMAGE_ID_INVALID', 'image ID too short')
  }
  const cut = text.slice(0, KEY_LENGTH)
  return PREFIX_OF_KEY.test(cut) ? cut : null
}

import type {KeyObject} from 'node:crypto'
import {RktError} from '../errors.ts'

/** A public key of sigstore's kind: no identity, no expiry, only a key. */
export interface SigstoreKey {
  /** Hex of the SHA-256 of the key in DER (SubjectPublicKeyInfo). */
  readonly fingerprint: string
  /** For people: `ECDSA P-256`, `Ed25519`, `RSA 3072`. */
  readonly algorithm: string
  readonly key: KeyObject
  /** As it is stored. */
  readonly pem: string
}

const curves: Readonly<Record<string, string>> = {prime256v1: 'P-256', secp384r1: 'P-384'}
const minRsaBits = 2048

/** Reads a public key in PEM: ECDSA on P-256 or P-384, Ed25519 or RSA. `failure` is the outer sentence when it is none. */
export async function readSigstoreKey(bytes: Uint8Array, failure: string): Promise<SigstoreKey> {
  const {createHash, createPublicKey} = await import('node:crypto')
  const refuse = (reason: string, cause?: unknown) =>
    new RktError('RKT_KEY_UNREADABLE', failure, {cause: new Error(`error reading key: ${reason}`, {cause})})
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const labels = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g)].map(([, label]) => label)
  const [label] = labels
  if (label === undefined) throw refuse('the file holds no key in PEM')
  // createPublicKey would take the public part of a private key, too: whoever passes one had better learn of it
  if (label.includes('PRIVATE')) throw refuse('the file holds a private key, which must stay with its owner')
  if (label !== 'PUBLIC KEY') throw refuse(`expected 'PUBLIC KEY', got: ${label}`)
  if (labels.length > 1) throw refuse('the file holds more than one key')
  let key: KeyObject
  try {
    key = createPublicKey({format: 'pem', key: text})
  } catch (cause) {
    throw refuse('the key is damaged or of an unknown kind', cause)
  }
  const algorithm = algorithmOf(key)
  if (algorithm === null) throw refuse('the key is not ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 bits or more')
  const fingerprint = createHash('sha256')
    .update(key.export({format: 'der', type: 'spki'}))
    .digest('hex')
  return {algorithm, fingerprint, key, pem: String(key.export({format: 'pem', type: 'spki'}))}
}

function algorithmOf({asymmetricKeyDetails = {}, asymmetricKeyType}: KeyObject): string | null {
  const {modulusLength = 0, namedCurve = ''} = asymmetricKeyDetails
  switch (asymmetricKeyType) {
    case 'ec':
      return curves[namedCurve] === undefined ? null : `ECDSA ${curves[namedCurve]}`
    case 'ed25519':
      return 'Ed25519'
    case 'rsa':
      return modulusLength >= minRsaBits ? `RSA ${modulusLength}` : null
    default:
      return null
  }
}

/**
 * Whether the key made a signature over the bytes, as cosign makes them: ECDSA in DER over SHA-256 (on P-384 over SHA-384, too), RSA
 * with PKCS #1 v1.5 over SHA-256, Ed25519 over the bytes or (Ed25519ph, what cosign does) their hash.
 */
export async function isSignedBy({key}: SigstoreKey, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const {verify} = await import('node:crypto')
  if (key.asymmetricKeyType === 'ed25519') {
    if (verify(null, bytes, key, signature)) return true
    const {verifyEd25519ph} = await import('./ed25519ph.ts')
    return verifyEd25519ph(key.export({format: 'der', type: 'spki'}).subarray(-32), bytes, signature)
  }
  const hashes = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? ['sha384', 'sha256'] : ['sha256']
  return hashes.some((hash) => verify(hash, bytes, key, signature))
}

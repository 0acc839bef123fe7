/** What registries hold of sigstore signatures, read and not yet believed. */
import {RktError} from '../errors.ts'

/** A signature over a "simple signing" document, which names the image. */
export interface SimpleSigning {
  readonly kind: 'simple-signing'
  readonly payload: Uint8Array
  /** Base64. */
  readonly signature: string
}

/** A signature over the bytes of the image's manifest itself. */
export interface MessageSignature {
  readonly kind: 'message'
  readonly signature: string
}

/** Signatures over an envelope around an in-toto statement, which names the image by its digest. */
export interface DsseEnvelope {
  readonly kind: 'dsse'
  readonly payload: Uint8Array
  readonly payloadType: string
  readonly signatures: readonly string[]
}

export type SigstoreSignature = DsseEnvelope | MessageSignature | SimpleSigning

/** A blob that holds a signature: a bundle, or a document with the signature over it beside. */
export type SignatureBlob = {readonly digest: `sha256:${string}`; readonly mediaType: string; readonly size: number} & (
  | {readonly kind: 'bundle'}
  | {readonly kind: 'simple-signing'; readonly signature: string}
)

const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const simpleSigningType = 'application/vnd.dev.cosign.simplesigning.v1+json'
/** What manifests of signatures are called among the referrers of an image. An index that a client made may call them empty. */
const referrerTypes: ReadonlySet<string | undefined> = new Set([
  bundleType,
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.oci.empty.v1+json',
  undefined,
])

/** No document of a signature is larger. */
export const maxSigstoreDocument = 1024 * 1024
/** Of one image; further ones are not looked at. */
export const maxSignatures = 32

/** Whether what refers to an image may be a signature of it, by its artifact type. */
export const maySign = (artifactType: string | undefined): boolean => referrerTypes.has(artifactType)

/** The signatures that a manifest holds: that under the tag `sha256-HEX.sig`, or a referrer's. */
export function signatureBlobs(manifest: Uint8Array): SignatureBlob[] {
  const {layers} = objectOf(parse(manifest, 'manifest of signatures'))
  return listOf(layers).flatMap((layer): SignatureBlob[] => {
    const {annotations, digest, mediaType, size} = objectOf(layer)
    const fits = typeof size === 'number' && Number.isInteger(size) && size >= 0 && size <= maxSigstoreDocument
    if (typeof digest !== 'string' || !/^sha256:[\da-f]{64}$/.test(digest) || !fits) return []
    const blob = {digest: digest as `sha256:${string}`, size}
    const signature = objectOf(annotations)['dev.cosignproject.cosign/signature']
    if (mediaType === bundleType) return [{...blob, kind: 'bundle', mediaType}]
    if (mediaType !== simpleSigningType || typeof signature !== 'string') return []
    return [{...blob, kind: 'simple-signing', mediaType, signature}]
  })
}

/**
 * The signature of a sigstore bundle. Bundles that a certificate (keyless) stands for are read as well: no public key will have made
 * them, unless it did.
 */
export function readBundle(bytes: Uint8Array): SigstoreSignature {
  const {dsseEnvelope, mediaType, messageSignature} = objectOf(parse(bytes, 'sigstore bundle'))
  if (mediaType !== bundleType) throw malformed('sigstore bundle', `unknown media type ${JSON.stringify(mediaType)}`)
  const {signature} = objectOf(messageSignature)
  if (typeof signature === 'string') return {kind: 'message', signature}
  const {payload, payloadType, signatures} = objectOf(dsseEnvelope)
  if (typeof payload !== 'string' || typeof payloadType !== 'string') throw malformed('sigstore bundle', 'it holds no signature')
  const found = listOf(signatures).flatMap((entry) => {
    const {sig} = objectOf(entry)
    return typeof sig === 'string' ? [sig] : []
  })
  return {kind: 'dsse', payload: Buffer.from(payload, 'base64'), payloadType, signatures: found}
}

/** @throws RktError RKT_SIGSTORE_DOCUMENT */
export function parse(bytes: Uint8Array, what: string): unknown {
  if (bytes.length > maxSigstoreDocument) throw malformed(what, `it is larger than ${maxSigstoreDocument} bytes`)
  try {
    return JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes))
  } catch (cause) {
    throw malformed(what, (cause as Error).message, cause)
  }
}

const malformed = (what: string, reason: string, cause?: unknown) =>
  new RktError('RKT_SIGSTORE_DOCUMENT', `cannot read the ${what}`, {cause: new Error(reason, {cause})})

/** The members of an object; of anything else there are none. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {}
}

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value.slice(0, maxSignatures) : [])

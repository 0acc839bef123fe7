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

/** A blob of a registry that belongs to a signature. */
export interface SignatureBlob {
  readonly digest: string
  readonly size: number
}

export interface SignatureLayer extends SignatureBlob {
  readonly signature: string
}

export const sigstoreMediaTypes = {
  /** artifactType of referrers that are the `.sig` manifest itself. */
  artifact: 'application/vnd.dev.cosign.artifact.sig.v1+json',
  bundle: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  simpleSigning: 'application/vnd.dev.cosign.simplesigning.v1+json',
} as const

/** No signature document is larger; ask a registry for no more. */
export const maxSigstoreDocument = 1024 * 1024
/** Of one image; further ones are not looked at. */
const maxSignatures = 32

/** The tag under which cosign puts the signatures of a manifest: `sha256-HEX.sig`. */
export const signatureTag = (manifestDigest: string): string => `${manifestDigest.replace(':', '-')}.sig`

/** The payload blobs of a `.sig` manifest with the signature over each. */
export function signatureLayers(manifest: Uint8Array): SignatureLayer[] {
  const {layers} = objectOf(parse(manifest, 'signature manifest'))
  return listOf(layers).flatMap((layer): SignatureLayer[] => {
    const {annotations, mediaType} = objectOf(layer)
    const signature = objectOf(annotations)['dev.cosignproject.cosign/signature']
    const blob = blobOf(layer)
    return mediaType === sigstoreMediaTypes.simpleSigning && typeof signature === 'string' && blob !== null ? [{...blob, signature}] : []
  })
}

/** The bundles that the manifest of a referrer holds. */
export function bundleLayers(manifest: Uint8Array): SignatureBlob[] {
  const {layers} = objectOf(parse(manifest, 'manifest of a referrer'))
  return listOf(layers).flatMap((layer) => {
    const blob = blobOf(layer)
    return objectOf(layer).mediaType === sigstoreMediaTypes.bundle && blob !== null ? [blob] : []
  })
}

/** The manifests that hold signatures among the referrers of an image. */
export function signatureReferrers(index: Uint8Array): (SignatureBlob & {readonly artifactType: string})[] {
  const {manifests} = objectOf(parse(index, 'index of referrers'))
  const ours: readonly unknown[] = [sigstoreMediaTypes.artifact, sigstoreMediaTypes.bundle]
  return listOf(manifests).flatMap((manifest) => {
    const {artifactType} = objectOf(manifest)
    const blob = blobOf(manifest)
    return ours.includes(artifactType) && blob !== null ? [{...blob, artifactType: String(artifactType)}] : []
  })
}

/**
 * The signature of a sigstore bundle. Bundles that a certificate (keyless) stands for are read as well: no public key will have made
 * them, unless it did.
 */
export function readBundle(bytes: Uint8Array): SigstoreSignature {
  const {dsseEnvelope, mediaType, messageSignature} = objectOf(parse(bytes, 'sigstore bundle'))
  if (mediaType !== sigstoreMediaTypes.bundle) throw malformed('sigstore bundle', `unknown media type ${JSON.stringify(mediaType)}`)
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

function blobOf(descriptor: unknown): SignatureBlob | null {
  const {digest, size} = objectOf(descriptor)
  const fits = typeof size === 'number' && Number.isInteger(size) && size >= 0 && size <= maxSigstoreDocument
  return typeof digest === 'string' && /^sha256:[\da-f]{64}$/.test(digest) && fits ? {digest, size} : null
}

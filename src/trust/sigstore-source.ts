import {RktError} from '../errors.ts'
import {maxSignatures, maxSigstoreDocument, maySign, readBundle, type SigstoreSignature, signatureBlobs} from './sigstore-documents.ts'

type Digest = `${'sha256' | 'sha512'}:${string}`

interface SourceDescriptor {
  readonly annotations: Readonly<Record<string, string>>
  readonly artifactType?: string
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
  readonly urls: readonly string[]
}

/** A repository of a registry; what it gives has the digest that it was asked by. */
export interface SignatureSource {
  /** The manifest under the tag `sha256-HEX.sig`. */
  signatures(digest: Digest): Promise<{readonly bytes: Uint8Array} | null>
  /** What refers to a digest. */
  referrers(digest: Digest): Promise<readonly SourceDescriptor[]>
  document(descriptor: SourceDescriptor): Promise<{readonly bytes: Uint8Array}>
  /** A blob, refused where it is larger than `limit`. */
  smallBlob(descriptor: SourceDescriptor, limit: number): Promise<Uint8Array>
}

/**
 * The signatures that a registry holds of a manifest or index: cosign's tag first, then what refers to it. Documents that cannot be
 * read are no signatures; more than a few dozen signatures are not looked at.
 */
export async function gatherSignatures(source: SignatureSource, digest: Digest): Promise<SigstoreSignature[]> {
  const found: SigstoreSignature[] = []
  const gather = async (manifest: Uint8Array) => {
    for (const blob of ifReadable(() => signatureBlobs(manifest)) ?? []) {
      if (found.length >= maxSignatures) return
      const bytes = await source.smallBlob({annotations: {}, urls: [], ...blob}, maxSigstoreDocument)
      const signature =
        blob.kind === 'bundle'
          ? ifReadable(() => readBundle(bytes))
          : ({kind: 'simple-signing', payload: bytes, signature: blob.signature} as const)
      if (signature !== undefined) found.push(signature)
    }
  }
  const tagged = await source.signatures(digest)
  if (tagged !== null) await gather(tagged.bytes)
  const referrers = (await source.referrers(digest)).filter(({artifactType}) => maySign(artifactType))
  for (const referrer of referrers.slice(0, maxSignatures)) {
    if (found.length < maxSignatures) await gather((await source.document(referrer)).bytes)
  }
  return found
}

function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    // Whoever can write to a repository can put nonsense beside a good signature.
    if (error instanceof RktError && error.code === 'RKT_SIGSTORE_DOCUMENT') return undefined
    throw error
  }
}

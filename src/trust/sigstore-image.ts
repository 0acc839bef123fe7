import type {AcIdentifier} from '../appc/index.ts'
import {noTrustedKey, type VerifiedSigstore, verifySigstore} from './sigstore.ts'
import type {SigstoreKeystore} from './sigstore-keystore.ts'
import {gatherSignatures, type SignatureSource} from './sigstore-source.ts'

export interface RegistryImageQuestion {
  /** The name that keys are trusted for: the image's name in its appc view. */
  readonly name: AcIdentifier
  /** What was asked for: `HOST/REPOSITORY`, with `:TAG` or `@DIGEST` where it has one. */
  readonly dockerReference: string
  /** The manifest or index that the reference leads to: not the one chosen out of an index. */
  readonly document: {readonly bytes: Uint8Array; readonly digest: `${'sha256' | 'sha512'}:${string}`}
}

/**
 * Checks that a key which is trusted for its name signed an image of a registry. The registry is asked for signatures only where there
 * is such a key.
 * @throws RktError as `verifySigstore`, RKT_KEYRING_UNREADABLE, and whatever the registry fails with
 */
export async function verifyRegistryImage(
  {keystore, source}: {readonly keystore: Pick<SigstoreKeystore, 'keysFor'>; readonly source: SignatureSource},
  {dockerReference, document: {bytes, digest}, name}: RegistryImageQuestion,
): Promise<VerifiedSigstore> {
  const keys = await keystore.keysFor(name)
  if (keys.length === 0) throw noTrustedKey(name)
  const signatures = await gatherSignatures(source, digest)
  return await verifySigstore({dockerReference, keys, manifest: bytes, name, signatures})
}

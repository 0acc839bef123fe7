import {type AcIdentifier, sanitizeAcIdentifier} from '../appc/index.ts'
import type {Digest} from '../oci/index.ts'
import type {SignatureSource, SigstoreKey} from '../trust/index.ts'
import type {Session} from './session.ts'

export interface SignedDocument {
  readonly bytes: Uint8Array
  readonly digest: Digest
}

interface Signed {
  readonly host: string
  readonly repository: string
  /** What was asked for: `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`. */
  readonly reference: string
}

/** The sigstore signature of an image of OCI's or Docker's format. */
export class SigstoreVerification {
  readonly #keys: readonly SigstoreKey[]
  readonly #name: AcIdentifier
  readonly #reference: string
  readonly #session: Session

  private constructor(session: Session, name: AcIdentifier, reference: string, keys: readonly SigstoreKey[]) {
    this.#keys = keys
    this.#name = name
    this.#reference = reference
    this.#session = session
  }

  /** Refuses an image for which no key is trusted, before anybody is asked for it. */
  static async begin(session: Session, {host, reference, repository}: Signed): Promise<SigstoreVerification> {
    const {noTrustedKey, openSigstoreKeystore} = await import('../trust/index.ts')
    const {localConfig, systemConfig} = session.ports.options
    const name = sanitizeAcIdentifier(`${host}/${repository}`)
    const keys = await openSigstoreKeystore({local: localConfig, system: systemConfig}).keysFor(name)
    if (keys.length === 0) throw noTrustedKey(name)
    return new SigstoreVerification(session, name, reference, keys)
  }

  /**
   * Refuses an image that no trusted key signed, and says which one did otherwise. `document` is what the reference leads to: an index
   * where it is one, not the manifest that is chosen out of it.
   */
  async check({bytes, digest}: SignedDocument, source: SignatureSource | null): Promise<void> {
    const {gatherSignatures, verifySigstore} = await import('../trust/index.ts')
    const signatures = source === null ? [] : await gatherSignatures(source, digest)
    const question = {dockerReference: this.#reference, keys: this.#keys, manifest: bytes, name: this.#name, signatures}
    const {fingerprint} = await verifySigstore(question)
    this.#session.note(`signature verified:\n  sigstore key ${fingerprint}`)
  }
}

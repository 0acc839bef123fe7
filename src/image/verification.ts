import type {AcIdentifier, ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {issuedByOneOf, readSignatures, type VerifiedSignature, verifySignatures} from '../trust/index.ts'
import {readDescriptor} from './descriptor-streams.ts'
import {peekName} from './peek-name.ts'
import type {Session} from './session.ts'

/**
 * The detached signature of an archive that is being imported. The archive is hashed while it is inflated, where the name that
 * decides about keys is known, or can be guessed from the archive's first bytes; a wrong guess costs a second pass, nothing else.
 */
export class Verification {
  readonly #early: Promise<VerifiedSignature> | undefined
  readonly #fd: number
  readonly #name: string | null
  readonly #session: Session
  readonly #signature: Uint8Array

  private constructor(session: Session, fd: number, signature: Uint8Array, name: string | null) {
    this.#fd = fd
    this.#name = name
    this.#session = session
    this.#signature = signature
    if (name === null) return
    this.#early = this.#verify(name as AcIdentifier)
    // who waits for it hears of it
    this.#early.catch(() => {})
  }

  /** Begins with the archive in the file `fd`, which nobody changes. */
  static async begin(session: Session, fd: number, signature: Uint8Array): Promise<Verification> {
    return new Verification(session, fd, signature, await peekName(fd))
  }

  /** Refuses an image that no trusted key signed, and says who signed it otherwise. */
  async accept({name}: Pick<ImageManifest, 'name'>): Promise<void> {
    let verified: VerifiedSignature
    try {
      verified = await (name === this.#name && this.#early !== undefined ? this.#early : this.#verify(name))
    } catch (cause) {
      throw refused(this.#session, name, cause)
    }
    this.#session.note(['signature verified:', ...verified.identities.map((identity) => `  ${identity}`)].join('\n'))
  }

  /** The pass must be over before the descriptor is closed. */
  async settled(): Promise<void> {
    await this.#early?.catch(() => {})
  }

  async #verify(name: AcIdentifier): Promise<VerifiedSignature> {
    const signatures = await readSignatures(this.#signature)
    return await verifySignatures(signatures, await this.#session.keystore.keysFor(name), readDescriptor(this.#fd))
  }
}

function refused(session: Session, name: string, cause: unknown): unknown {
  if (!(cause instanceof RktError)) return cause
  const unknown = cause.code === 'RKT_SIGNATURE_UNKNOWN_KEY'
  if (unknown) {
    session.note('If you expected the signing key to change, try running:')
    session.note('    rkt trust --prefix <image>')
  }
  const hint = `Trust the key that signed it with "rkt trust --prefix ${name} KEYFILE", or take the image unverified with --insecure-options=image.`
  return new RktError(cause.code, `image ${JSON.stringify(name)} verification failed`, {cause, hint: unknown ? hint : cause.hint})
}

/** Before anything large is downloaded: whether a key that is trusted for the name made the signature at all. */
export async function checkIssuer(session: Session, name: AcIdentifier, signature: Uint8Array): Promise<void> {
  let refusal: unknown
  try {
    if (issuedByOneOf(await readSignatures(signature), await session.keystore.keysFor(name))) return
    const {unknownEntity} = await import('../trust/index.ts')
    refusal = unknownEntity()
  } catch (error) {
    if (!(error instanceof RktError)) throw error
    throw new RktError(error.code, `image ${JSON.stringify(name)} verification failed`, {cause: error, hint: error.hint})
  }
  session.note('if you expected the signing key to change, try running:')
  session.note(`    rkt trust --prefix ${JSON.stringify(name)}`)
  throw new RktError('RKT_SIGNATURE_UNKNOWN_KEY', `image ${JSON.stringify(name)} verification failed`, {
    cause: refusal,
    hint: `Trust the key that signed it with "rkt trust --prefix ${name} KEYFILE", or take the image unverified with --insecure-options=image.`,
  })
}

import type {Key, Signature, SignaturePacket, Subkey} from 'openpgp'
import {RktError} from '../errors.ts'

/** A detached signature file, read and not yet believed. */
export interface Signatures {
  readonly packets: readonly SignaturePacket[]
}

export interface VerifiedSignature {
  readonly fingerprint: string
  readonly identities: readonly string[]
}

const maxSignatureFile = 1024 * 1024

/** Reads a detached signature file, armored first, then binary. */
export async function readSignatures(bytes: Uint8Array): Promise<Signatures> {
  const openpgp = await import('openpgp')
  if (bytes.length > maxSignatureFile)
    throw invalid(new Error(`openpgp: invalid data: the signature file is larger than ${maxSignatureFile} bytes`))
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const armor = /-----BEGIN ([A-Z ]+)-----/.exec(text.toString('latin1'))?.[1]
  if (armor !== undefined && armor !== 'PGP SIGNATURE')
    throw invalid(new Error(`openpgp: invalid argument: expected 'PGP SIGNATURE', got: ${armor}`))
  let signature: Signature
  try {
    signature =
      armor === undefined
        ? await openpgp.readSignature({binarySignature: bytes})
        : await openpgp.readSignature({armoredSignature: text.toString('latin1')})
  } catch (cause) {
    throw invalid(new Error(`openpgp: invalid data: ${(cause as Error).message}`, {cause}))
  }
  const packets = [...signature.packets] as SignaturePacket[]
  if (packets.length === 0) throw invalid(new Error('keystore: no valid signatures found in signature file'))
  return {packets}
}

/** Whether one of these keys issued one of the signatures: asked before an image is downloaded. */
export function issuedByOneOf(signatures: Signatures, keys: readonly Key[]): boolean {
  return signatures.packets.some((packet) => keys.some((key) => key.getKeys(packet.issuerKeyID).length > 0))
}

/**
 * Checks that a trusted key made a good signature over the bytes. `open` gives the bytes from their start each time it is called;
 * they are hashed as they stream, so memory stays flat.
 *
 * The verdict is gpg's, made strict where gpg only warns: a signature counts if its key could sign when it was made (not expired
 * then, flagged for signing, bound by its primary key) and neither the key nor its primary is revoked today.
 *
 * @throws RktError RKT_SIGNATURE_UNKNOWN_KEY, RKT_SIGNATURE_REVOKED_KEY, RKT_SIGNATURE_INVALID
 */
export async function verifySignatures(
  signatures: Signatures,
  keys: readonly Key[],
  open: () => ReadableStream<Uint8Array>,
  now = new Date(),
): Promise<VerifiedSignature> {
  let refusal: RktError | undefined
  for (const packet of signatures.packets) {
    for (const key of keys) {
      if (key.getKeys(packet.issuerKeyID).length === 0) continue
      try {
        return await verifyOne(packet, key, open, now)
      } catch (error) {
        refusal =
          error instanceof RktError ? error : invalid(new Error(`openpgp: invalid signature: ${(error as Error).message}`, {cause: error}))
      }
    }
  }
  throw refusal ?? new RktError('RKT_SIGNATURE_UNKNOWN_KEY', 'openpgp: signature made by unknown entity')
}

async function verifyOne(packet: SignaturePacket, key: Key, open: () => ReadableStream<Uint8Array>, now: Date): Promise<VerifiedSignature> {
  const openpgp = await import('openpgp')
  const {signature} = openpgp.enums
  if (packet.signatureType !== signature.binary) throw new Error('not a signature over a binary document')
  if (packet.created === null) throw new Error('the signature does not say when it was made')
  // The refusal of a revoked key comes first: a revocation says that what the key signs, or signed, is not to be believed.
  await refuseRevoked(packet, key, now)
  // Checks expiry, flags and bindings of the (sub)key at the time of the signature.
  const signer = await key.getSigningKey(packet.issuerKeyID, packet.created)
  const document = {getBytes: open, text: null}
  await packet.verify(signer.keyPacket, signature.binary, document, now, true)
  return {fingerprint: key.getFingerprint(), identities: key.getUserIDs()}
}

async function refuseRevoked(packet: SignaturePacket, key: Key, now: Date): Promise<void> {
  const subkeys = key.getSubkeys(packet.issuerKeyID)
  const revoked =
    (await key.isRevoked(undefined, undefined, now)) ||
    (await Promise.all(subkeys.map((subkey) => isSubkeyRevoked(key, subkey, now)))).includes(true)
  if (revoked) throw new RktError('RKT_SIGNATURE_REVOKED_KEY', 'openpgp: signature made by revoked key')
}

function isSubkeyRevoked(key: Key, subkey: Subkey, now: Date): Promise<boolean> {
  const [binding] = subkey.bindingSignatures
  if (binding === undefined) return Promise.resolve(true)
  return subkey.isRevoked(binding, key.keyPacket, now)
}

function invalid(cause: Error): RktError {
  return new RktError('RKT_SIGNATURE_INVALID', cause.message, {cause: cause.cause})
}

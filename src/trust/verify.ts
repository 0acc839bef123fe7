import type {enums, Key, Signature, SignaturePacket, Subkey} from 'openpgp'
import {RktError} from '../errors.ts'
import {visible} from './text.ts'

/** A detached signature file, read and not yet believed. */
export interface Signatures {
  readonly packets: readonly SignaturePacket[]
}

export interface VerifiedSignature {
  readonly fingerprint: string
  readonly identities: readonly string[]
}

/** A verdict that waits for the bytes: give them all, in order, then ask. */
export interface SignatureCheck {
  update(chunk: Uint8Array): void
  /** @throws RktError RKT_SIGNATURE_UNKNOWN_KEY, RKT_SIGNATURE_REVOKED_KEY, RKT_SIGNATURE_INVALID */
  verdict(): Promise<VerifiedSignature>
}

const maxSignatureFile = 1024 * 1024
const maxSignatures = 16

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
  // Packets of versions and algorithms that nobody here knows are skipped by the reader: they are no signatures to us.
  const packets = signature.packets.filter((packet) => packet instanceof openpgp.SignaturePacket)
  if (packets.length === 0) throw invalid(new Error('keystore: no valid signatures found in signature file'))
  if (packets.length > maxSignatures)
    throw invalid(new Error(`openpgp: invalid data: the signature file holds more than ${maxSignatures} signatures`))
  return {packets}
}

/** Whether one of these keys issued one of the signatures: asked before an image is downloaded. */
export function issuedByOneOf(signatures: Signatures, keys: readonly Key[]): boolean {
  return signatures.packets.some((packet) => keys.some((key) => key.getKeys(packet.issuerKeyID).length > 0))
}

/** The refusal where nobody trusted has signed. */
export function unknownEntity(): RktError {
  return new RktError('RKT_SIGNATURE_UNKNOWN_KEY', 'openpgp: signature made by unknown entity')
}

/**
 * Checks that a trusted key made a good signature over the bytes that the caller passes by: while they are downloaded, or read. They
 * are hashed once, whatever the number of signatures and keys, and not kept.
 *
 * The verdict is gpg's, made strict where gpg only warns: a signature counts if its key could sign when it was made (not expired
 * then, flagged for signing, bound by its primary key) and neither the key nor its primary is revoked today. Algorithms that are
 * broken (MD5, SHA-1, DSA, RSA below 2047 bits) vouch for nothing.
 *
 * @throws RktError RKT_SIGNATURE_UNKNOWN_KEY at once, where no trusted key issued any of the signatures
 */
export async function startSignatureCheck(signatures: Signatures, keys: readonly Key[], now = new Date()): Promise<SignatureCheck> {
  const {createHash} = await import('node:crypto')
  const openpgp = await import('openpgp')
  const candidates = signatures.packets.flatMap((packet) =>
    keys.filter((key) => key.getKeys(packet.issuerKeyID).length > 0).map((key) => ({key, packet})),
  )
  if (candidates.length === 0) throw unknownEntity()
  // Only version 6 begins with a salt: signatures of version 4 by one algorithm share a hash of the document.
  const hashes = new Map(
    candidates.flatMap(({packet}) => {
      const hash = hashOf(packet, openpgp.enums.hash)
      const salt = saltOf(packet)
      if (hash === undefined || salt.length !== (packet.version === 6 ? hash.salt : 0)) return []
      return [[hashKey(packet), createHash(hash.name).update(salt)] as const]
    }),
  )
  return {
    update(chunk) {
      for (const hash of hashes.values()) hash.update(chunk)
    },
    async verdict() {
      let refusal: RktError | undefined
      for (const {key, packet} of candidates) {
        try {
          const hash = hashes.get(hashKey(packet))
          if (hash === undefined) throw new Unsupported(`hash algorithm ${algorithmName(packet, openpgp.enums.hash)}`)
          return await verifyOne(packet, key, hash.copy().update(endOf(packet)).digest(), now)
        } catch (error) {
          refusal = refusalOf(error)
        }
      }
      throw refusal ?? unknownEntity()
    },
  }
}

/** The same over a stream of bytes. */
export async function verifySignatures(
  signatures: Signatures,
  keys: readonly Key[],
  bytes: AsyncIterable<Uint8Array>,
  now = new Date(),
): Promise<VerifiedSignature> {
  const check = await startSignatureCheck(signatures, keys, now)
  for await (const chunk of bytes) check.update(chunk)
  return await check.verdict()
}

class Unsupported extends Error {}

function refusalOf(error: unknown): RktError {
  if (error instanceof RktError) return error
  const message = (error as Error).message
  return invalid(
    new Error(`openpgp: ${error instanceof Unsupported ? 'unsupported feature' : 'invalid signature'}: ${message}`, {cause: error}),
  )
}

/** Node's name of a signature's hash algorithm, and the salt that version 6 wants for it (RFC 9580, 9.5). */
function hashOf({hashAlgorithm}: SignaturePacket, {sha224, sha256, sha384, sha512, sha3_256, sha3_512}: typeof enums.hash) {
  const known = new Map<number | null, {readonly name: string; readonly salt: number}>([
    [sha224, {name: 'sha224', salt: 16}],
    [sha256, {name: 'sha256', salt: 16}],
    [sha384, {name: 'sha384', salt: 24}],
    [sha512, {name: 'sha512', salt: 32}],
    [sha3_256, {name: 'sha3-256', salt: 16}],
    [sha3_512, {name: 'sha3-512', salt: 32}],
  ])
  return known.get(hashAlgorithm)
}

const algorithmName = ({hashAlgorithm}: SignaturePacket, hashes: typeof enums.hash) =>
  Object.entries(hashes).find(([, number]) => number === hashAlgorithm)?.[0] ?? hashAlgorithm

type Salted = SignaturePacket & {readonly salt?: Uint8Array | null}

const saltOf = (packet: SignaturePacket): Uint8Array => (packet as Salted).salt ?? new Uint8Array()

const hashKey = (packet: SignaturePacket): string => `${packet.hashAlgorithm} ${Buffer.from(saltOf(packet)).toString('hex')}`

/** What is hashed behind the document: the signature's own fields, its version and their length (RFC 9580, 5.2.4). */
function endOf({signatureData, version}: SignaturePacket): Uint8Array {
  const fields = signatureData ?? new Uint8Array()
  const trailer = Buffer.alloc(6)
  trailer.writeUInt8(version, 0)
  trailer.writeUInt8(0xff, 1)
  trailer.writeUInt32BE(fields.length, 2)
  return Buffer.concat([fields, trailer])
}

async function verifyOne(packet: SignaturePacket, key: Key, digest: Uint8Array, now: Date): Promise<VerifiedSignature> {
  const openpgp = await import('openpgp')
  const {signature} = openpgp.enums
  if (packet.signatureType !== signature.binary) throw new Unsupported('a signature over something else than a binary document')
  if (packet.created === null) throw new Error('the signature does not say when it was made')
  if (key.getAlgorithmInfo().curve?.startsWith('brainpool')) throw new Unsupported('a key on a Brainpool curve')
  // The refusal of a revoked key comes first: a revocation says that what the key signs, or signed, is not to be believed.
  await refuseRevoked(packet, key, now)
  // Checks expiry, flags and bindings of the (sub)key at the time of the signature.
  const signer = await key.getSigningKey(packet.issuerKeyID, packet.created)
  // The library takes a digest that was made before in the place of the bytes. A new packet, so that no other call finds it.
  const digested = Object.assign(Object.create(packet) as SignaturePacket, {hashed: digest})
  try {
    await digested.verify(signer.keyPacket, signature.binary, {}, now, true)
  } catch (error) {
    throw (error as Error).message === 'Signed digest did not match' ? new Error("hash tag doesn't match", {cause: error}) : error
  }
  return {fingerprint: key.getFingerprint(), identities: key.getUserIDs().map(visible)}
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

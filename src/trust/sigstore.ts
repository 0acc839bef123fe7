import {RktError} from '../errors.ts'
import {type DsseEnvelope, listOf, objectOf, parse, type SigstoreSignature, type SimpleSigning} from './sigstore-documents.ts'
import {isSignedBy, type SigstoreKey} from './sigstore-key.ts'

export interface SigstoreQuestion {
  /** The name that keys are trusted for: the image's name in its appc view. */
  readonly name: string
  /** What was asked for: `HOST/REPOSITORY`, with `:TAG` or `@DIGEST` where it has one. */
  readonly dockerReference: string
  /** Bytes of the manifest or index that the reference leads to, as the registry sent them. */
  readonly manifest: Uint8Array
  readonly signatures: readonly SigstoreSignature[]
  /** Those that are trusted for the name. */
  readonly keys: readonly SigstoreKey[]
}

export interface VerifiedSigstore {
  /** Of the key that signed. */
  readonly fingerprint: string
  /** The reference that the signer wrote down; a bundle holds none. */
  readonly signedReference?: string
}

const simpleSigningType = 'cosign container image signature'
const statementTypes: readonly unknown[] = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1']
const statementMediaType = 'application/vnd.in-toto+json'
/** A statement of any other kind (a list of contents, a scan, a build record) is no word for the image. */
const signPredicate = 'https://sigstore.dev/cosign/sign/v1'

/**
 * Checks that a trusted key signed this image: one good signature is enough. A signature counts if its key made it, it names the
 * digest of the manifest, and the reference that it names, where it names one, is what was asked for: the same repository, and the
 * same tag if both have one. Times and transparency logs play no role.
 *
 * @throws RktError RKT_SIGSTORE_NO_KEY, RKT_SIGSTORE_NO_SIGNATURE, RKT_SIGSTORE_UNKNOWN_KEY, RKT_SIGSTORE_INVALID
 */
export async function verifySigstore(question: SigstoreQuestion): Promise<VerifiedSigstore> {
  const {keys, manifest, name, signatures} = question
  if (keys.length === 0) throw noTrustedKey(name)
  if (signatures.length === 0) {
    throw new RktError('RKT_SIGSTORE_NO_SIGNATURE', `image "${name}" is not signed`, {
      hint: 'Ask its publisher for a signature by cosign, or use --insecure-options=image to take it without verification.',
    })
  }
  const {createHash} = await import('node:crypto')
  const digest = createHash('sha256').update(manifest).digest('hex')
  let refusal: RktError | undefined
  for (const signature of signatures) {
    const signer = await signerOf(signature, keys, manifest)
    if (signer === undefined) continue
    try {
      const signedReference = checkMeaning(signature, digest, question.dockerReference)
      return {fingerprint: signer.fingerprint, ...(signedReference !== undefined && {signedReference})}
    } catch (cause) {
      refusal = new RktError('RKT_SIGSTORE_INVALID', `image "${name}" verification failed`, {cause})
    }
  }
  throw (
    refusal ??
    new RktError('RKT_SIGSTORE_UNKNOWN_KEY', `image "${name}" verification failed`, {
      cause: new Error('sigstore: no signature is by a trusted key'),
      hint: `If you expected the signing key to change, run: rkt trust --sigstore-key --prefix ${name} KEYFILE`,
    })
  )
}

/** The refusal of an image of a registry that no trusted key could vouch for; it says the two ways there are. */
export function noTrustedKey(name: string): RktError {
  return new RktError('RKT_SIGSTORE_NO_KEY', `no key is trusted for image "${name}"`, {
    hint: `Trust the key that signs it (rkt trust --sigstore-key --prefix ${name} KEYFILE), or use --insecure-options=image.`,
  })
}

/** The key that made a signature, found before anything in the signed document is believed. */
async function signerOf(
  signature: SigstoreSignature,
  keys: readonly SigstoreKey[],
  manifest: Uint8Array,
): Promise<SigstoreKey | undefined> {
  const signatures = signature.kind === 'dsse' ? signature.signatures : [signature.signature]
  const signed = signature.kind === 'message' ? manifest : signature.kind === 'dsse' ? preAuthEncoding(signature) : signature.payload
  for (const text of signatures) {
    for (const key of keys) if (await isSignedBy(key, signed, Buffer.from(text, 'base64'))) return key
  }
  return undefined
}

/** What DSSE signs: lengths and contents of type and payload, so that neither can be shifted into the other. */
function preAuthEncoding({payload, payloadType}: DsseEnvelope): Uint8Array {
  const type = Buffer.from(payloadType)
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload])
}

/** Refuses a good signature that speaks of something else; gives the reference that it names. */
function checkMeaning(signature: SigstoreSignature, digest: string, wanted: string): string | undefined {
  switch (signature.kind) {
    case 'message':
      return undefined
    case 'dsse':
      checkStatement(signature, digest)
      return undefined
    case 'simple-signing':
      return checkPayload(signature, digest, wanted)
  }
}

function checkStatement({payload, payloadType}: DsseEnvelope, digest: string): void {
  if (payloadType !== statementMediaType) throw new Error(`sigstore: unknown type of payload ${JSON.stringify(payloadType)}`)
  const {_type, predicateType, subject} = objectOf(parse(payload, 'signed statement'))
  if (!statementTypes.includes(_type)) throw new Error(`sigstore: unknown type of statement ${JSON.stringify(_type)}`)
  if (predicateType !== signPredicate) throw new Error(`sigstore: the statement is no signature but ${JSON.stringify(predicateType)}`)
  const digests = listOf(subject).map((entry) => objectOf(objectOf(entry).digest).sha256)
  if (!digests.includes(digest)) throw new Error(`sigstore: the signature is not for sha256:${digest}`)
}

function checkPayload({payload}: SimpleSigning, digest: string, wanted: string): string | undefined {
  const {identity, image, type} = objectOf(objectOf(parse(payload, 'signed payload')).critical)
  if (type !== simpleSigningType) throw new Error(`sigstore: unknown type of signature ${JSON.stringify(type)}`)
  const signedDigest = objectOf(image)['docker-manifest-digest']
  if (signedDigest !== `sha256:${digest}`) {
    throw new Error(`sigstore: the signature is for ${JSON.stringify(signedDigest)}, the image is sha256:${digest}`)
  }
  const reference = objectOf(identity)['docker-reference']
  if (typeof reference !== 'string' || !matches(reference, wanted)) {
    throw new Error(`sigstore: the signature is for ${JSON.stringify(reference)}, asked for was ${JSON.stringify(wanted)}`)
  }
  return reference
}

function matches(signed: string, wanted: string): boolean {
  const [a, b] = [readReference(signed), readReference(wanted)]
  const sameTag = a.tag === undefined || b.tag === undefined || a.tag === b.tag
  return a.repository === b.repository && sameTag
}

const dockerHub = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** A reference with the names of Docker Hub made one. */
function readReference(reference: string): {repository: string; tag: string | undefined} {
  const [named = ''] = reference.split('@')
  const colon = named.lastIndexOf(':')
  const tagged = colon > named.lastIndexOf('/')
  const path = tagged ? named.slice(0, colon) : named
  const slash = path.indexOf('/')
  const first = path.slice(0, Math.max(slash, 0))
  const hasHost = /[.:]/.test(first) || first === 'localhost'
  const [host, rest] = hasHost ? [first, path.slice(slash + 1)] : ['docker.io', path]
  const repository = dockerHub.has(host) ? `docker.io/${rest.includes('/') ? rest : `library/${rest}`}` : `${host}/${rest}`
  const digested = reference.includes('@')
  return {repository, tag: tagged && !digested ? named.slice(colon + 1) : undefined}
}

/**
 * Trust: which keys may vouch for which image names, how they come to be trusted, and whether a signature is good. OpenPGP signatures
 * lie beside image archives, sigstore signatures in the registries of Docker and OCI images.
 * Rests on openpgp (loaded when a key or signature is read), on node:crypto, on http for keys that lie elsewhere, on the names of appc
 * and on the file system. Knows nothing of stores, registries, discovery or pods: what lies there is passed in.
 */
export {type AddKeysOptions, type AddKeysPorts, addKeys} from './add-keys.ts'
export {type DescribedKey, describeKeys, formatFingerprint} from './describe-keys.ts'
export {type DiscoverKeysOptions, type DiscoverKeysPorts, discoverKeys, locateKeys} from './discover-keys.ts'
export type {KeystoreDirectories, StoredKey} from './key-files.ts'
export {type KeyKind, openpgpKeys, sigstoreKeys} from './key-kinds.ts'
export {type Keystore, openKeystore} from './keystore.ts'
export {type Reviewer, terminalReviewer} from './reviewer.ts'
export {noTrustedKey, type SigstoreQuestion, type VerifiedSigstore, verifySigstore} from './sigstore.ts'
export type {SigstoreSignature} from './sigstore-documents.ts'
export type {SigstoreKey} from './sigstore-key.ts'
export {openSigstoreKeystore, type SigstoreKeystore} from './sigstore-keystore.ts'
export {gatherSignatures, type SignatureSource} from './sigstore-source.ts'
export {
  issuedByOneOf,
  readSignatures,
  type SignatureCheck,
  type Signatures,
  startSignatureCheck,
  unknownEntity,
  type VerifiedSignature,
  verifySignatures,
} from './verify.ts'

/**
 * Trust: which keys may vouch for which image names, and whether a signature over some bytes is good.
 * Rests on openpgp (loaded when a key or signature is read), on the names of appc and on the file system. Knows nothing of stores,
 * transports or pods.
 */
export {type DescribedKey, describeKeys, formatFingerprint} from './describe-keys.ts'
export {type Keystore, type KeystoreDirectories, openKeystore, type StoredKey} from './keystore.ts'
export {issuedByOneOf, readSignatures, type Signatures, type VerifiedSignature, verifySignatures} from './verify.ts'

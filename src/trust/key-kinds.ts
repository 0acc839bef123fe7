import {describeKeys, formatFingerprint} from './describe-keys.ts'
import type {StoredKey} from './key-files.ts'
import type {Keystore} from './keystore.ts'
import {readSigstoreKey} from './sigstore-key.ts'
import type {SigstoreKeystore} from './sigstore-keystore.ts'
import {visible} from './text.ts'

/** One kind of keys, as adding keys sees it. */
export interface KeyKind {
  /** Lines for whoever reviews the keys of a file. */
  show(bytes: Uint8Array, failure: string): Promise<string[]>
  add(prefix: string | null, bytes: Uint8Array): Promise<StoredKey[]>
}

/** OpenPGP keys, for the detached signatures of image archives. */
export function openpgpKeys(keystore: Pick<Keystore, 'add'>): KeyKind {
  return {
    add: (prefix, bytes) => keystore.add(prefix, bytes),
    async show(bytes, failure) {
      return (await describeKeys(bytes, failure)).flatMap(({fingerprint, identities, subkeys}) => [
        `gpg key fingerprint is: ${formatFingerprint(fingerprint)}`,
        ...subkeys.map((subkey) => `    Subkey fingerprint: ${formatFingerprint(subkey)}`),
        ...identities.map((identity) => `\t${visible(identity)}`),
      ])
    },
  }
}

/** Sigstore keys, for the signatures of images in registries. */
export function sigstoreKeys(keystore: Pick<SigstoreKeystore, 'add'>): KeyKind {
  return {
    add: (prefix, bytes) => keystore.add(prefix, bytes),
    async show(bytes, failure) {
      const {algorithm, fingerprint} = await readSigstoreKey(bytes, failure)
      return [`sigstore key fingerprint is: SHA256:${fingerprint}`, `\t${algorithm}`]
    },
  }
}

import type {AcIdentifier} from '../appc/index.ts'
import {KeyFiles, type KeystoreDirectories, keyringError, notAdded, readKeyFile, type StoredKey} from './key-files.ts'
import {readSigstoreKey, type SigstoreKey} from './sigstore-key.ts'

export interface SigstoreKeystore {
  /** The keys that may vouch for an image of a registry, named as its appc view is: `quay.io/coreos/etcd`. */
  keysFor(name: AcIdentifier): Promise<SigstoreKey[]>
  /** Stores a public key in PEM; `prefix` null trusts it for every name. */
  add(prefix: string | null, bytes: Uint8Array): Promise<StoredKey[]>
}

/**
 * Opens the keystore of sigstore keys: `trustedkeys/{sigstore-root.d,sigstore-prefix.d/PREFIX}/SHA256-OF-DER.pem`. Beside the
 * directories of OpenPGP keys, not in them: there every file is read as an OpenPGP key, by other versions of rkt too.
 */
export function openSigstoreKeystore(directories: KeystoreDirectories): SigstoreKeystore {
  const files = new KeyFiles(directories, {
    // By whole elements: a registry lets strangers have coreos-fan beside coreos.
    covers: (prefix, name) => name === prefix || name.startsWith(`${prefix}/`),
    file: /^[\da-f]{64}\.pem$/,
    prefix: 'sigstore-prefix.d',
    root: 'sigstore-root.d',
  })
  return {
    async add(prefix, bytes) {
      const {fingerprint, pem} = await readSigstoreKey(bytes, notAdded(prefix))
      return [{fingerprint, path: files.write(prefix, `${fingerprint}.pem`, pem)}]
    },

    async keysFor(name) {
      const keys: SigstoreKey[] = []
      for (const [file, path] of files.trustedFor(name)) {
        const key = await readSigstoreKey(readKeyFile(path), 'keystore: error loading keyring')
        if (`${key.fingerprint}.pem` !== file) throw keyringError(path, new Error(`fingerprint mismatch: "${file}":"${key.fingerprint}"`))
        keys.push(key)
      }
      return keys
    },
  }
}

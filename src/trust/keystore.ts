import type {Key} from 'openpgp'
import type {AcIdentifier} from '../appc/index.ts'
import {KeyFiles, type KeystoreDirectories, keyringError, notAdded, readKeyFile, type StoredKey} from './key-files.ts'
import {readKeys} from './read-keys.ts'

export interface Keystore {
  /** The keys that may vouch for an image name: root keys, and those of every prefix of the name. */
  keysFor(name: AcIdentifier): Promise<Key[]>
  /** Whether a prefix directory of the name, or of a parent of it, holds a key; root keys do not count. */
  hasKeysFor(prefix: AcIdentifier): boolean
  /** Stores each key of a key file under its own fingerprint; `prefix` null trusts it for every name. */
  add(prefix: string | null, bytes: Uint8Array): Promise<StoredKey[]>
}

/** Opens the keystore of OpenPGP keys: `trustedkeys/{root.d,prefix.d/PREFIX}/FINGERPRINT`. */
export function openKeystore(directories: KeystoreDirectories): Keystore {
  const files = new KeyFiles(directories, {
    // As the first rkt had it: plain text, so a key for example.com/app counts for example.com/app-two.
    covers: (prefix, name) => name.startsWith(prefix),
    file: /^[\da-f]{40}(?:[\da-f]{24})?$/, // v4: 40 digits, v6: 64
    prefix: 'prefix.d',
    root: 'root.d',
  })
  return {
    async add(prefix, bytes) {
      const keys = await readKeys(bytes, notAdded(prefix))
      return keys.map((key) => {
        const fingerprint = key.getFingerprint()
        return {fingerprint, path: files.write(prefix, fingerprint, key.toPublic().armor())}
      })
    },

    hasKeysFor: (prefix) => files.existFor(prefix),

    async keysFor(name) {
      const keys: Key[] = []
      for (const [fingerprint, path] of files.trustedFor(name)) keys.push(await loadKey(path, fingerprint))
      return keys
    },
  }
}

async function loadKey(path: string, fingerprint: string): Promise<Key> {
  const [key] = await readKeys(readKeyFile(path), 'keystore: error loading keyring')
  if (key === undefined) throw keyringError(path, new Error('missing opengpg entity'))
  if (key.getFingerprint() !== fingerprint) {
    throw keyringError(path, new Error(`fingerprint mismatch: "${fingerprint}":"${key.getFingerprint()}"`))
  }
  return key
}

import {chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, statSync, writeSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {Key} from 'openpgp'
import {type AcIdentifier, parseAcIdentifier} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {readKeys} from './read-keys.ts'

export interface KeystoreDirectories {
  /** The vendor's configuration directory; its `trustedkeys` may be absent. */
  readonly system: string
  /** The administrator's: new keys are written here. */
  readonly local: string
}

/** A key as the keystore holds it. */
export interface StoredKey {
  readonly fingerprint: string
  readonly path: string
}

export interface Keystore {
  /** The keys that may vouch for an image name: root keys, and those of every prefix of the name. */
  keysFor(name: AcIdentifier): Promise<Key[]>
  /** Whether a prefix directory of the name, or of a parent of it, holds a key; root keys do not count. */
  hasKeysFor(prefix: AcIdentifier): boolean
  /** Stores each key of an armored key file under its own fingerprint; `prefix` null trusts it for every name. */
  add(prefix: AcIdentifier | null, armored: Uint8Array): Promise<StoredKey[]>
}

const maxKeyFile = 1024 * 1024

/** Opens the keystore of pods-on-disk: `trustedkeys/{root.d,prefix.d/PREFIX}/FINGERPRINT`. */
export function openKeystore(directories: KeystoreDirectories): Keystore {
  const roots = [directories.system, directories.local].map((dir) => join(dir, 'trustedkeys'))
  const local = join(directories.local, 'trustedkeys')

  return {
    async add(prefix, armored) {
      const dir = prefix === null ? join(local, 'root.d') : join(local, 'prefix.d', safePrefix(prefix))
      const failure = prefix === null ? 'error adding root key' : `error adding key for prefix "${prefix}"`
      const keys = await readKeys(armored, failure)
      return keys.map((key) => {
        const fingerprint = key.getFingerprint()
        const path = join(dir, fingerprint)
        try {
          writeKey(path, local, key.toPublic().armor())
        } catch (cause) {
          throw new RktError('RKT_KEY_NOT_STORED', failure, {
            cause,
            hint: 'Run rkt trust as root or as a member of the group rkt-admin.',
          })
        }
        return {fingerprint, path}
      })
    },

    hasKeysFor(prefix) {
      const parts = safePrefix(prefix).split('/')
      return roots.some((root) =>
        parts.some((_, at) => {
          const dir = join(root, 'prefix.d', ...parts.slice(0, at + 1))
          return keyFiles(dir).some((file) => statSync(join(dir, file)).size > 0)
        }),
      )
    },

    async keysFor(name) {
      const trusted = new Map<string, string>()
      for (const root of roots) gather(join(root, 'root.d'), trusted)
      for (const root of roots) gatherPrefixes(join(root, 'prefix.d'), safePrefix(name), trusted)
      const keys: Key[] = []
      for (const [fingerprint, path] of trusted) keys.push(await loadKey(path, fingerprint))
      return keys
    },
  }
}

/** A name as a path below prefix.d: identifiers may hold dots, so `..` and empty parts are refused here. */
function safePrefix(prefix: string): string {
  const name = parseAcIdentifier(prefix)
  if (name.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new RktError('RKT_BAD_PREFIX', `"${prefix}" is not a prefix that keys can be trusted for`, {
      hint: 'Give a name without empty, "." or ".." elements.',
    })
  }
  return name
}

/** Files of a key directory that are named as a fingerprint is (v4: 40 digits, v6: 64); an absent directory has none. */
function keyFiles(dir: string): string[] {
  return entries(dir)
    .filter((entry) => entry.isFile() && /^[\da-f]{40}(?:[\da-f]{24})?$/.test(entry.name))
    .map((entry) => entry.name)
    .sort()
}

function entries(dir: string) {
  try {
    return readdirSync(dir, {withFileTypes: true})
  } catch (error) {
    // A directory nobody made trusts nobody; one that cannot be read must not silently trust less or more.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return []
    throw keyringError(dir, error)
  }
}

/** An empty file masks the key of that name which an earlier directory gave. */
function gather(dir: string, trusted: Map<string, string>): void {
  for (const file of keyFiles(dir)) {
    const path = join(dir, file)
    if (statSync(path).size === 0) trusted.delete(file)
    else trusted.set(file, path)
  }
}

/** Visits only directories whose path is a string prefix of the name, below the name's first element. */
function gatherPrefixes(root: string, name: string, trusted: Map<string, string>): void {
  const [host = ''] = name.split('/')
  const visit = (relative: string): void => {
    if (!name.startsWith(relative)) return
    gather(join(root, relative), trusted)
    for (const entry of entries(join(root, relative))) if (entry.isDirectory()) visit(`${relative}/${entry.name}`)
  }
  visit(host)
}

async function loadKey(path: string, fingerprint: string): Promise<Key> {
  if (statSync(path).size > maxKeyFile) throw keyringError(path, new Error(`key file "${path}" is larger than ${maxKeyFile} bytes`))
  const [key] = await readKeys(readFileSync(path), 'keystore: error loading keyring')
  if (key === undefined) throw keyringError(path, new Error('missing opengpg entity'))
  if (key.getFingerprint() !== fingerprint) {
    throw keyringError(path, new Error(`fingerprint mismatch: "${fingerprint}":"${key.getFingerprint()}"`))
  }
  return key
}

function keyringError(path: string, cause: unknown): RktError {
  return new RktError('RKT_KEYRING_UNREADABLE', 'keystore: error loading keyring', {cause, hint: `Repair or remove ${path}.`})
}

/** Beside its place, flushed, renamed; directories 0755 and the file 0644 whatever the umask, as the documents say. */
function writeKey(path: string, top: string, text: string): void {
  makeDirectories(dirname(path), top)
  const temporary = `${path}.new-${process.pid}`
  const fd = openSync(temporary, 'wx', 0o644)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  chmodSync(temporary, 0o644)
  renameSync(temporary, path)
}

function makeDirectories(dir: string, top: string): void {
  if (mkdirSync(dir, {mode: 0o755, recursive: true}) === undefined) return
  for (let at = dir; at.startsWith(top); at = dirname(at)) chmodSync(at, 0o755)
}

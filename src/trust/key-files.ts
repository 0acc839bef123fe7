import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {parseAcIdentifier} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'

export interface KeystoreDirectories {
  /** The vendor's configuration directory; its `trustedkeys` may be absent. */
  readonly system: string
  /** The administrator's: new keys are written here. */
  readonly local: string
}

/** A key as a keystore holds it. */
export interface StoredKey {
  readonly fingerprint: string
  readonly path: string
}

/** How one kind of keys lies under `trustedkeys`. */
export interface KeyLayout {
  /** Directory of keys for every name. */
  readonly root: string
  /** Directory of directories by prefix. */
  readonly prefix: string
  /** What the files are called; others are not ours. */
  readonly file: RegExp
  /** Whether keys of a prefix count for a name. */
  covers(prefix: string, name: string): boolean
}

export const maxKeyFile = 1024 * 1024

/** The files of one kind of keys in both configuration directories. */
export class KeyFiles {
  readonly #layout: KeyLayout
  readonly #local: string
  readonly #roots: readonly string[]

  constructor({local, system}: KeystoreDirectories, layout: KeyLayout) {
    this.#layout = layout
    this.#local = join(local, 'trustedkeys')
    this.#roots = [join(system, 'trustedkeys'), this.#local]
  }

  /** Names of files and where they lie, for the keys that may vouch for a name; an empty file takes away the one before it. */
  trustedFor(name: string): Map<string, string> {
    const trusted = new Map<string, string>()
    for (const root of this.#roots) this.#gather(join(root, this.#layout.root), trusted)
    for (const root of this.#roots) this.#gatherPrefixes(join(root, this.#layout.prefix), safePrefix(name), trusted)
    return trusted
  }

  /** Whether a prefix, or a parent of it, has a key of its own. */
  existFor(prefix: string): boolean {
    const parts = safePrefix(prefix).split('/')
    return this.#roots.some((root) =>
      parts.some((_, at) => {
        const dir = join(root, this.#layout.prefix, ...parts.slice(0, at + 1))
        return this.#filesOf(dir).some((file) => statSync(join(dir, file)).size > 0)
      }),
    )
  }

  /** Writes a key for a prefix, or for every name, and says where it lies. */
  write(prefix: string | null, file: string, text: string): string {
    const path = this.#pathFor(prefix, file)
    try {
      writeKey(path, this.#local, text)
    } catch (error) {
      throw new RktError('RKT_KEY_NOT_STORED', notAdded(prefix), {
        cause: systemError('open', path, error),
        hint: 'Run rkt trust as root or as a member of the group rkt-admin.',
      })
    }
    return path
  }

  #pathFor(prefix: string | null, file: string): string {
    if (prefix === null) return join(this.#local, this.#layout.root, file)
    try {
      return join(this.#local, this.#layout.prefix, safePrefix(prefix), file)
    } catch (cause) {
      throw new RktError('RKT_BAD_PREFIX', notAdded(prefix), {cause})
    }
  }

  #gather(dir: string, trusted: Map<string, string>): void {
    for (const file of this.#filesOf(dir)) {
      const path = join(dir, file)
      if (statSync(path).size === 0) trusted.delete(file)
      else trusted.set(file, path)
    }
  }

  /** Visits only directories below the name's first element that may cover the name. */
  #gatherPrefixes(root: string, name: string, trusted: Map<string, string>): void {
    const [host = ''] = name.split('/')
    const visit = (relative: string): void => {
      if (!name.startsWith(relative)) return
      const dir = join(root, relative)
      if (this.#layout.covers(relative, name)) this.#gather(dir, trusted)
      for (const entry of entriesOf(dir)) if (entry.isDirectory()) visit(`${relative}/${entry.name}`)
    }
    visit(host)
  }

  #filesOf(dir: string): string[] {
    return entriesOf(dir)
      .filter((entry) => entry.isFile() && this.#layout.file.test(entry.name))
      .map((entry) => entry.name)
      .sort()
  }
}

/** The outer sentence of a key that could not be added. */
export const notAdded = (prefix: string | null) => (prefix === null ? 'error adding root key' : `error adding key for prefix "${prefix}"`)

export function keyringError(path: string, cause: unknown): RktError {
  return new RktError('RKT_KEYRING_UNREADABLE', 'keystore: error loading keyring', {cause, hint: `Repair or remove ${path}.`})
}

/** The bytes of a stored key, which are never many. */
export function readKeyFile(path: string): Buffer {
  try {
    if (statSync(path).size <= maxKeyFile) return readFileSync(path)
  } catch (error) {
    throw keyringError(path, systemError('open', path, error))
  }
  throw keyringError(path, new Error(`key file "${path}" is larger than ${maxKeyFile} bytes`))
}

/** A name as a path below the prefixes: identifiers may hold dots, so `..` and empty parts are refused here. */
function safePrefix(prefix: string): string {
  const name = parseAcIdentifier(prefix)
  if (name.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new RktError('RKT_BAD_PREFIX', `"${prefix}" is not a prefix that keys can be trusted for`, {
      hint: 'Give a name without empty, "." or ".." elements.',
    })
  }
  return name
}

function entriesOf(dir: string) {
  try {
    return readdirSync(dir, {withFileTypes: true})
  } catch (error) {
    // A directory nobody made trusts nobody; one that cannot be read must not silently trust less or more.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return []
    throw keyringError(dir, systemError('open', dir, error))
  }
}

/** Beside its place, flushed, renamed; directories 0755 and the file 0644 whatever the umask, as the documents say. */
function writeKey(path: string, top: string, text: string): void {
  makeDirectories(dirname(path), top)
  const temporary = `${path}.new-${process.pid}`
  rmSync(temporary, {force: true}) // of a process that was killed and had our number
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

/** Only what was made here changes its mode. */
function makeDirectories(dir: string, top: string): void {
  const first = mkdirSync(dir, {mode: 0o755, recursive: true})
  if (first === undefined) return
  for (let at = dir; at.startsWith(first) && at.startsWith(top); at = dirname(at)) chmodSync(at, 0o755)
}

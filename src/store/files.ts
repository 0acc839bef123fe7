/** Files of the store: written so that a power cut shows the old content or the new, with the modes of a directory that a group shares. */
import {randomUUID} from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {FileLock, flush, native, systemError, unwrap} from '../native/index.ts'

/** Group members read and write, and what they create belongs to the group. */
const DIRECTORY_MODE = 0o2770
export const FILE_MODE = 0o660

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** True when the caller may look but not write here. */
export function isReadOnlyFailure(error: unknown): boolean {
  const code = errnoOf(error)
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
}

/** Makes a directory of the store, and what is missing above it; one that exists keeps its mode. */
export function ensureDirectory(path: string, mode = DIRECTORY_MODE): void {
  try {
    mkdirSync(path)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw systemError('mkdir', path, error)
    ensureDirectory(dirname(path), mode)
    ensureDirectory(path, mode)
    return
  }
  // mkdir(2) obeys the umask, chmod(2) does not
  chmodSync(path, mode)
  flush(dirname(path))
}

/** The text of a small file, or null when there is none. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null
    throw systemError('open', path, error)
  }
}

/** The names in a directory; none when it does not exist. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
    throw systemError('open', path, error)
  }
}

/** Writes a small file in place, made with the mode of the store whatever the umask is. */
export function writeInPlace(path: string, content: string): void {
  try {
    writeFileSync(path, content, {flag: 'r+'})
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    const fd = openSync(path, 'a', FILE_MODE)
    try {
      fchmodSync(fd, FILE_MODE)
      writeFileSync(fd, content)
    } finally {
      closeSync(fd)
    }
  }
}

/** Removes a file; one that is gone already is what we want. */
export function removeFile(path: string): void {
  try {
    rmSync(path, {force: true})
  } catch (error) {
    throw systemError('remove', path, error)
  }
}

/** Replaces a file by one rename, content first on the disk, then the name. */
export function replaceFile(path: string, content: string | Uint8Array, tmp: string, mode = FILE_MODE): void {
  const temporary = join(tmp, randomUUID())
  // the lock says that the file has an owner: sweepTemporaries() takes what nobody holds
  using lock = FileLock.tryAcquire(temporary, 'exclusive', {create: true})
  // the sweeper was faster between our open and our lock
  if (lock === null) {
    replaceFile(path, content, tmp, mode)
    return
  }
  try {
    const fd = openSync(temporary, 'r+')
    try {
      fchmodSync(fd, mode)
      writeFileSync(fd, content)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, {force: true})
    throw systemError('write', path, error)
  }
  flush(dirname(path))
}

/**
 * Gives an unnamed file its place, whatever a killed process or somebody else has left there: only the bytes in hand are the hashed
 * ones.
 */
export function placeUnnamed(fd: number, path: string, tmp: string): void {
  ensureDirectory(dirname(path))
  if (!unwrap(native().publish(fd, path, FILE_MODE))) {
    const temporary = join(tmp, randomUUID())
    // as in replaceFile(): from its first moment on it has an owner
    unwrap(native().flock(fd, 'exclusive'))
    unwrap(native().publish(fd, temporary, FILE_MODE))
    try {
      renameSync(temporary, path)
    } catch (error) {
      rmSync(temporary, {force: true})
      throw systemError('rename', path, error)
    }
  }
  flush(dirname(path))
}

/** A download that a killed process left and that the next one continues, and what that needs to know of it. */
const DOWNLOAD = /^sha512-[\da-f]{64}(?:\.etag)?$/

/**
 * Removes what killed processes left in `tmp`: everything that no living process holds a lock on; `downloads` that can be continued
 * only when told so.
 */
export async function sweepTemporaries(tmp: string, {downloads = false}: {downloads?: boolean} = {}): Promise<void> {
  for (const name of namesIn(tmp)) {
    if (!downloads && DOWNLOAD.test(name)) continue
    const path = join(tmp, name)
    try {
      using lock = FileLock.tryAcquire(path, 'exclusive')
      if (lock !== null) unwrap(await native().removeTree(path))
    } catch {
      // gone already, or another user's: the next one takes it
    }
  }
}

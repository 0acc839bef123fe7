import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs'
import {join} from 'node:path'
import {FileLock, native, systemError, unwrap} from '../native/index.ts'
import {isSystemRoot} from '../privileges.ts'
import {ensureDirectory, removeFile, replaceFile} from './files.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {decodeName, decodeNames, encodeName, type StoredName, withName} from './names.ts'
import {decodeRemote, encodeRemote, type Remote} from './remote.ts'
import {isAbsent} from './sidecar.ts'

/*
 * Root's own word on images. Members of a group that shares the store write sidecars and names as they like; what root looks up by
 * name or by URL is answered by these records alone, which lie in a directory that only root can write.
 */

/** Whether images need root's word here: root asks, and others can write the store. */
export function needsVouchers({cas}: Layout): boolean {
  const stats = isSystemRoot() ? statSync(cas, {throwIfNoEntry: false}) : undefined
  if (stats === undefined) return false
  const groupWrites = (stats.mode & 0o020) !== 0 && stats.gid !== 0
  return stats.uid !== 0 || groupWrites || (stats.mode & 0o002) !== 0
}

/** The names by which root itself knows an image, the newest first; none where root never said anything of it. */
export function readVoucher(layout: Layout, key: ImageKey): readonly StoredName[] {
  const text = readOwn(layout, key)
  if (text === null) return []
  const value: unknown = JSON.parse(text)
  // before 2.0.0 there was one
  return Array.isArray(value) ? decodeNames(value) : [decodeName({source: '', ...(value as object)})]
}

/** Gives root's word, beside what it said before; of others nothing is recorded. The caller holds the lock of the image. */
export async function vouch(layout: Layout, key: ImageKey, name: StoredName): Promise<void> {
  if (isSystemRoot()) await writeVoucher(layout, key, withName(readVoucher(layout, key), name))
}

/** Takes back what root said of an image, but for the names that are `kept`. */
export async function unvouch(layout: Layout, key: ImageKey, kept: (name: StoredName) => boolean): Promise<void> {
  if (!isSystemRoot()) return
  const names = readVoucher(layout, key)
  const left = names.filter(kept)
  if (left.length < names.length) await writeVoucher(layout, key, left)
}

async function writeVoucher(layout: Layout, key: ImageKey, names: readonly StoredName[]): Promise<void> {
  if (names.length > 0) await writeOwn(layout, key, JSON.stringify(names.map(encodeName)))
  else removeFile(join(layout.verified, key))
}

/** The record of a URL that root itself wrote. */
export function readVouchedRemote(layout: Layout, url: string): Remote | null {
  const remote = decodeRemote(readOwn(layout, layout.remoteName(url)))
  return remote?.url === url ? remote : null
}

export async function vouchForRemote(layout: Layout, remote: Remote): Promise<void> {
  if (isSystemRoot()) await writeOwn(layout, layout.remoteName(remote.url), encodeRemote(remote))
}

/** Takes back what root said of images that are not `kept`. */
export function sweepVouchers(layout: Layout, kept: (key: string) => boolean): void {
  if (!isSystemRoot() || !isRootsAlone(lstatSync(layout.verified, {throwIfNoEntry: false}))) return
  for (const name of readdirSync(layout.verified)) {
    const path = join(layout.verified, name)
    const key = name.endsWith('.json') ? (decodeRemote(readFileSync(path, 'utf8'))?.key ?? '') : name
    if (kept(key)) continue
    // one that is being written is locked
    using lock = FileLock.tryAcquire(path, 'exclusive')
    if (lock !== null) removeFile(path)
  }
}

function isRootsAlone(stats: Stats | undefined): boolean {
  return stats?.isDirectory() === true && stats.uid === 0 && (stats.mode & 0o077) === 0
}

/** By the descriptor of the directory that was looked at: members may rename it, but what lies in it they cannot change. */
function readOwn(layout: Layout, name: string): string | null {
  let directory: number
  try {
    directory = openSync(layout.verified, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch {
    return null
  }
  try {
    return isRootsAlone(fstatSync(directory)) ? readFileSync(`/proc/self/fd/${directory}/${name}`, 'utf8') : null
  } catch (error) {
    if (isAbsent(error)) return null
    throw systemError('open', join(layout.verified, name), error)
  } finally {
    closeSync(directory)
  }
}

/** What somebody else put in the place of the directory goes. */
async function writeOwn(layout: Layout, name: string, content: string): Promise<void> {
  const present = lstatSync(layout.verified, {throwIfNoEntry: false})
  if (present !== undefined && !isRootsAlone(present)) {
    if (present.isDirectory()) unwrap(await native().removeTree(layout.verified))
    else rmSync(layout.verified, {force: true})
  }
  ensureDirectory(layout.cas)
  try {
    mkdirSync(layout.verified, {mode: 0o700})
  } catch (error) {
    if (!isRootsAlone(lstatSync(layout.verified, {throwIfNoEntry: false}))) throw systemError('mkdir', layout.verified, error)
  }
  replaceFile(join(layout.verified, name), `${content}\n`, layout.verified, 0o600)
}

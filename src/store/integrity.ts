/**
 * Whether stored bytes still are what their names say. What nobody wrote to since it was hashed is not hashed again: the record of an
 * image has a stamp of each of its files (inode, size, time of the last change, which only the clock of the machine sets).
 */
import {createHash} from 'node:crypto'
import {createReadStream, rmSync, statSync} from 'node:fs'
import {basename} from 'node:path'
import {RktError} from '../errors.ts'
import type {Digest} from '../oci/index.ts'
import {contentLock, contentOf} from './contents.ts'
import {errnoOf} from './files.ts'
import type {Layout} from './layout.ts'
import {lockFile} from './locks.ts'
import type {Sidecar, Stamps} from './sidecar.ts'

/** Whether a failure says that what is stored is not what it should be. */
export function isDamage(error: unknown): error is RktError {
  return error instanceof RktError && damage.has(error.code)
}

const damage: ReadonlySet<string> = new Set(['RKT_IMAGE_HASH_MISMATCH', 'RKT_LAYER_DIFF_ID', 'RKT_LAYER_DIGEST', 'RKT_STORE_DAMAGED'])
/** The failure with what to do about it. */
export function withDamageHint(error: RktError): RktError {
  return error.hint === undefined ? new RktError(error.code, error.message, {cause: error.cause, hint: damageHint}) : error
}

export const damageHint = 'Fetch the image again, or remove it with "rkt image rm".'

interface StoredFile {
  readonly path: string
  readonly algorithm: 'sha256' | 'sha512'
  /** Hex digits, all or the first of them. */
  readonly hash: string
  /** Of OCI content. */
  readonly digest?: Digest
}

/** The stamp of a file as it is now, null when there is none. */
export function stampOf(path: string): string | null {
  const stats = statSync(path, {bigint: true, throwIfNoEntry: false})
  return stats === undefined ? null : `${stats.ino}.${stats.size}.${stats.ctimeNs}`
}

/** The stamps of files that were hashed just now. */
export function stampsOf(paths: readonly string[]): Stamps {
  return Object.fromEntries(paths.flatMap((path) => [[basename(path), stampOf(path)]]).filter(([, stamp]) => stamp !== null))
}

/** The stamps that the files of an image have now. */
export function currentStamps(layout: Layout, sidecar: Sidecar): Stamps {
  return stampsOf(filesOf(layout, sidecar).map((file) => file.path))
}

/** What of an image is not what it should be, of all of its files or of those that `changed` since they were stamped. */
export async function findDamage(layout: Layout, sidecar: Sidecar, {changed}: {readonly changed: boolean}): Promise<StoredFile[]> {
  const damaged: StoredFile[] = []
  for (const file of filesOf(layout, sidecar)) {
    if (changed && sidecar.stamps?.[basename(file.path)] === stampOf(file.path)) continue
    if (!(await hasHash(file))) damaged.push(file)
  }
  return damaged
}

/** Takes damaged content of OCI images away, so that the next import brings it again; an archive's blob is replaced by it. */
export async function discardContent(layout: Layout, damaged: readonly StoredFile[]): Promise<void> {
  for (const file of damaged) {
    if (file.digest === undefined) continue
    using _lock = await lockFile(contentLock(layout, file.digest), 'exclusive')
    // another process may have brought it meanwhile
    if (!(await hasHash(file))) rmSync(file.path, {force: true})
  }
}

function filesOf(layout: Layout, {id, oci, sha512}: Sidecar): readonly StoredFile[] {
  if (oci === undefined) return [{algorithm: 'sha512', hash: sha512, path: layout.blobOf(id)}]
  const {config, index, layers, manifest} = oci
  const digests = new Set([manifest, config, ...(index === undefined ? [] : [index]), ...layers.map((layer) => layer.digest)])
  return [...digests].map((digest) => {
    const [algorithm, hash = ''] = digest.split(':')
    return {algorithm: algorithm === 'sha512' ? 'sha512' : 'sha256', digest, hash, path: contentOf(layout, digest)}
  })
}

async function hasHash({algorithm, hash, path}: StoredFile): Promise<boolean> {
  const hasher = createHash(algorithm)
  try {
    for await (const chunk of createReadStream(path, {highWaterMark: 1 << 20})) hasher.update(chunk as Buffer)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
  return hasher.digest('hex').startsWith(hash)
}

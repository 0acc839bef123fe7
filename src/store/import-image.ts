import {closeSync, existsSync, renameSync, rmSync, statSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {encodeImageManifest, type ImageManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {Ingested} from '../native/contract.ts'
import {native, systemError, unwrap} from '../native/index.ts'
import {ensureDirectory, errnoOf, FILE_MODE, removeFile, replaceFile, sweepTemporaries, syncDirectory, writeInPlace} from './files.ts'
import {bumpGeneration} from './generation.ts'
import {type ImageKey, keyOfDigest} from './image-key.ts'
import {stampsOf} from './integrity.ts'
import type {Layout} from './layout.ts'
import {lockImage} from './locks.ts'
import {withName} from './names.ts'
import {encodeSidecar, readSidecarIfSound} from './sidecar.ts'
import {vouch} from './vouchers.ts'

export interface ImportOptions {
  /** The image was asked for without a version. */
  readonly latest: boolean
  /** Where the image is distributed: what its record says. */
  readonly source: string
  /** How messages call it; as the source, unless said otherwise. */
  readonly origin?: string
  /** Looks at the image before it becomes visible; what it throws refuses the import. */
  readonly accept?: (manifest: ImageManifest, key: ImageKey) => void | Promise<void>
}

/**
 * Reads an image archive from a descriptor into the store and answers its key. The image becomes visible by the rename of its
 * sidecar, the last step, when all else is on the disk; a process killed before leaves files that nobody sees, and that the next
 * import of the same image takes over. Importing an image again adds a name, or renews the one of the same source, and resets the tree
 * size.
 */
export async function importImage(
  layout: Layout,
  sourceFd: number,
  {accept, latest, source, origin = source}: ImportOptions,
): Promise<ImageKey> {
  const ingested = unwrap(await native().ingestAci(sourceFd, layout.tmp))
  try {
    const manifest = parseImageManifest(ingested.manifest, origin)
    const key = keyOfDigest(ingested.sha512)
    await accept?.(manifest, key)
    using _lock = await lockImage(layout, key, 'exclusive')
    const old = readSidecarIfSound(layout, key)
    try {
      placeBlob(layout, key, ingested)
      placeManifest(layout, key, manifest)
      placeName(layout, manifest.name, key)
      removeFile(layout.treesizeOf(key))
      const {name, labels = []} = manifest
      const {sha512, size} = ingested
      const added = {importTime: new Date(), labels, latest, name, source}
      await vouch(layout, key, added)
      const sidecar = {id: key, names: withName(old?.names ?? [], added), sha512, size, stamps: stampsOf([layout.blobOf(key)])}
      replaceFile(layout.sidecarOf(key), encodeSidecar(sidecar), layout.tmp)
      bumpGeneration(layout)
    } catch (error) {
      if (old === null && !existsSync(layout.sidecarOf(key))) forget(layout, manifest.name, key)
      throw error
    }
    return key
  } finally {
    closeSync(ingested.fd)
    await sweepTemporaries(layout.tmp)
  }
}

function placeBlob(layout: Layout, key: ImageKey, {fd, size}: Ingested): void {
  const path = layout.blobOf(key)
  ensureDirectory(dirname(path))
  if (!unwrap(native().publish(fd, path, FILE_MODE))) replaceBlob(layout, key, fd, size)
  syncDirectory(dirname(path))
}

/** Puts the bytes in hand, which are the hashed ones, over a blob that a killed import left, or that somebody damaged. */
function replaceBlob(layout: Layout, key: ImageKey, fd: number, size: number): void {
  const path = layout.blobOf(key)
  const temporary = join(layout.tmp, `blob-${key}`)
  rmSync(temporary, {force: true, recursive: true})
  if (!unwrap(native().publish(fd, temporary, FILE_MODE))) throw new RktError('RKT_STORE_DAMAGED', `cannot replace ${path}`)
  try {
    renameSync(temporary, path)
  } catch (error) {
    throw systemError('rename', path, error)
  }
  if (statSync(path).size !== size) throw new RktError('RKT_STORE_DAMAGED', `the size of ${path} is not ${size}`)
}

export function placeManifest(layout: Layout, key: ImageKey, manifest: ImageManifest): void {
  const path = layout.manifestOf(key)
  ensureDirectory(dirname(path))
  replaceFile(path, encodeImageManifest(manifest), layout.tmp)
}

/** The entry that answers a look-up by name. A removal of the last image of that name may take the directory away meanwhile. */
export function placeName(layout: Layout, name: string, key: ImageKey): void {
  const path = layout.nameOf(name, key)
  for (let attempt = 0; ; attempt += 1) {
    ensureDirectory(layout.nameDirOf(name))
    try {
      writeInPlace(path, '')
      break
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || attempt === 3) throw systemError('open', path, error)
    }
  }
  syncDirectory(layout.nameDirOf(name))
}

/** Takes back what a failed import placed; the failure itself is what the user hears. */
function forget(layout: Layout, name: string, key: ImageKey): void {
  for (const path of [layout.nameOf(name, key), layout.manifestOf(key), layout.blobOf(key)]) rmSync(path, {force: true})
}

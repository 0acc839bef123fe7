import {closeSync, existsSync, rmSync} from 'node:fs'
import {dirname} from 'node:path'
import {encodeImageManifest, type ImageManifest, parseImageManifest} from '../appc/index.ts'
import {flush, native, systemError, unwrap} from '../native/index.ts'
import {ensureDirectory, errnoOf, placeUnnamed, removeFile, replaceFile, sweepTemporaries, writeInPlace} from './files.ts'
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
  /** The image that this is. Of those who bring it at once one does, and the others wait until it is in the store. */
  readonly expected?: ImageKey
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
  {accept, expected, latest, source, origin = source}: ImportOptions,
): Promise<ImageKey> {
  using _turn = expected === undefined ? null : await lockImage(layout, expected, 'exclusive')
  if (expected !== undefined && existsSync(layout.sidecarOf(expected))) return expected
  const ingested = unwrap(await native().ingestAci(sourceFd, layout.tmp))
  try {
    const manifest = parseImageManifest(ingested.manifest, origin)
    const key = keyOfDigest(ingested.sha512)
    await accept?.(manifest, key)
    using _lock = key === expected ? null : await lockImage(layout, key, 'exclusive')
    const old = readSidecarIfSound(layout, key)
    try {
      placeUnnamed(ingested.fd, layout.blobOf(key), layout.tmp)
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
  flush(layout.nameDirOf(name))
}

/** Takes back what a failed import placed; the failure itself is what the user hears. */
function forget(layout: Layout, name: string, key: ImageKey): void {
  for (const path of [layout.nameOf(name, key), layout.manifestOf(key), layout.blobOf(key)]) rmSync(path, {force: true})
}

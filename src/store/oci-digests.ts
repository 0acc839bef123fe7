/** From the digest of an OCI image to its key: one empty file each, so that no index has to be opened for it. */
import {join} from 'node:path'
import {systemError} from '../native/index.ts'
import type {Digest} from '../oci/index.ts'
import {ensureDirectory, errnoOf, namesIn, removeFile, writeInPlace} from './files.ts'
import {type ImageKey, isImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'

const directoryOf = ({cas}: Layout) => join(cas, 'digest')
const entryOf = (layout: Layout, digest: Digest, key: ImageKey) => join(directoryOf(layout), `${digest.replace(':', '-')}.${key}`)

export function placeOciDigest(layout: Layout, digest: Digest, key: ImageKey): void {
  ensureDirectory(directoryOf(layout))
  const path = entryOf(layout, digest, key)
  try {
    writeInPlace(path, '')
  } catch (error) {
    throw systemError('open', path, error)
  }
}

/** Keys that some image of a digest beginning so may have. */
export function keysOfDigest(layout: Layout, prefix: string): ImageKey[] {
  const start = prefix.replace(':', '-')
  const keys = namesIn(directoryOf(layout))
    .filter((name) => name.startsWith(start))
    .map((name) => name.slice(name.indexOf('.') + 1))
  return [...new Set(keys.filter(isImageKey))]
}

/** Removes the entries of images that are not there. */
export function sweepOciDigests(layout: Layout, isThere: (key: ImageKey) => boolean): void {
  for (const name of namesIn(directoryOf(layout))) {
    const key = name.slice(name.indexOf('.') + 1)
    if (isImageKey(key) && isThere(key)) continue
    try {
      removeFile(join(directoryOf(layout), name))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }
}

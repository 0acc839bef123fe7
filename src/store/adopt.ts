import {existsSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {lenientImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {flush} from '../native/index.ts'
import {ensureDirectory, FILE_MODE, isReadOnlyFailure, namesIn} from './files.ts'
import {type ImageKey, isImageKey} from './image-key.ts'
import {placeName} from './import-image.ts'
import type {Layout} from './layout.ts'
import {lockStore} from './locks.ts'
import type {StoredName} from './names.ts'
import {encodeSidecar, type Sidecar} from './sidecar.ts'

/** Whether this is the store of an rkt 1.x: blobs, and no sidecars. */
export function needsAdoption(layout: Layout): boolean {
  return !existsSync(layout.image) && existsSync(layout.blobs)
}

/**
 * Makes sidecars for the images of an rkt 1.x out of their manifests and blobs; the old database is left alone, and with it go
 * the latest flags and the remotes that only it knew. All sidecars appear at once, by one rename.
 */
export function adopt(layout: Layout): void {
  try {
    using _lock = lockStore(layout.cas, 'exclusive')
    if (!needsAdoption(layout)) return
    const staging = join(layout.cas, 'image.new')
    rmSync(staging, {force: true, recursive: true})
    ensureDirectory(staging)
    for (const key of keysOf(layout)) adoptImage(layout, key, staging)
    flush(staging)
    renameSync(staging, layout.image)
    flush(layout.cas)
  } catch (error) {
    const cause = error instanceof RktError ? error.cause : error
    if (isReadOnlyFailure(cause)) {
      throw new RktError('RKT_STORE_OLD', 'database schema needs to be updated, re-run as root to perform the update')
    }
    throw error
  }
}

function keysOf(layout: Layout): ImageKey[] {
  const directories = namesIn(layout.manifests).map((digits) => join(layout.manifests, digits))
  return directories.flatMap((directory) => namesIn(directory)).filter(isImageKey)
}

function adoptImage(layout: Layout, key: ImageKey, staging: string): void {
  const blob = statSync(layout.blobOf(key), {throwIfNoEntry: false})
  if (blob === undefined) return
  let described: Pick<StoredName, 'labels' | 'name'>
  try {
    const {labels, name} = lenientImageManifest(readFileSync(layout.manifestOf(key), 'utf8'))
    described = {labels: labels as StoredName['labels'], name}
  } catch {
    // a manifest that nobody can read names no image; its blob stays where it is
    return
  }
  placeName(layout, described.name, key)
  const sidecar: Sidecar = {
    id: key,
    names: [{...described, importTime: blob.mtime, latest: false, source: ''}],
    sha512: key.slice('sha512-'.length),
    size: blob.size,
  }
  const path = join(staging, `${key}.json`)
  writeFileSync(path, encodeSidecar(sidecar), {flush: true, mode: FILE_MODE})
  utimesSync(path, blob.mtime, blob.mtime)
}

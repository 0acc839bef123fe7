import {rmdirSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {FileLock, flush} from '../native/index.ts'
import {removeContents} from './contents.ts'
import {namesIn, removeFile, replaceFile, sweepTemporaries} from './files.ts'
import {bumpGeneration} from './generation.ts'
import {type ImageKey, isImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {lockImage} from './locks.ts'
import {isSameName, type StoredName, type StoredNames} from './names.ts'
import {sweepOciDigests} from './oci-digests.ts'
import {removeRemotesOf} from './remote.ts'
import {encodeSidecar, isAbsent, readSidecar, readSidecarIfSound, type Sidecar} from './sidecar.ts'
import {sweepVouchers, unvouch} from './vouchers.ts'

/** Removes an image: first from sight, by its sidecar, then its files. */
export async function removeImage(layout: Layout, key: ImageKey): Promise<void> {
  if (!namesIn(layout.image).includes(`${key}.json`)) throw notFound(key)
  using _lock = await lockImage(layout, key, 'exclusive')
  const sidecar = readSidecarIfSound(layout, key)
  if (!namesIn(layout.image).includes(`${key}.json`)) throw notFound(key)
  removeFile(layout.sidecarOf(key))
  flush(layout.image)
  bumpGeneration(layout)
  const failures = removeRest(layout, key, sidecar)
  await sweepTemporaries(layout.tmp)
  if (failures.length > 0) {
    throw new RktError(
      'RKT_IMAGE_FILES_LEFT',
      `some aci disk entries cannot be removed: ${failures.map((failure) => `[${failure}]`).join('')}`,
    )
  }
}

/**
 * Takes one of its names, with all labels, from an image that keeps others, and what was remembered of downloads under it. Answers
 * false for the only name, with which nothing happens.
 */
export async function removeNameOf(layout: Layout, key: ImageKey, name: Pick<StoredName, 'labels' | 'name'>): Promise<boolean> {
  using _lock = await lockImage(layout, key, 'exclusive')
  const sidecar = readSidecar(layout, key)
  if (sidecar === null) throw notFound(key)
  const [first, ...rest] = sidecar.names.filter((each) => !isSameName(each, name))
  if (first === undefined) return false
  const kept: StoredNames = [first, ...rest]
  await unvouch(layout, key, (each) => !isSameName(each, name))
  replaceFile(layout.sidecarOf(key), encodeSidecar({...sidecar, names: kept}), layout.tmp)
  if (!kept.some((each) => each.name === name.name)) removeName(layout, name.name, key)
  const gone = new Set(sidecar.names.map(urlOf).filter((url) => url !== null))
  for (const url of kept.map(urlOf)) if (url !== null) gone.delete(url)
  removeRemotesOf(layout, key, (url) => gone.has(url))
  bumpGeneration(layout)
  return true
}

/** What a download of a registry's image is recorded under. */
function urlOf({source}: StoredName): string | null {
  const [, reference] = /^cimd:docker:v=0:(.*)$/s.exec(source) ?? []
  return reference === undefined ? null : `docker://${reference}`
}

function notFound(key: ImageKey): RktError {
  return new RktError('RKT_IMAGE_NOT_FOUND', `cannot find image with key: ${key}`)
}

function removeRest(layout: Layout, key: ImageKey, sidecar: Sidecar | null): string[] {
  const failures: string[] = []
  const attempt = (step: () => void) => {
    try {
      step()
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  attempt(() => removeRemotesOf(layout, key))
  attempt(() => sweepVouchers(layout, (other) => other !== key))
  for (const name of new Set(sidecar?.names.map((each) => each.name))) attempt(() => removeName(layout, name, key))
  attempt(() => removeFile(layout.treesizeOf(key)))
  attempt(() => removeFile(layout.blobOf(key)))
  const oci = sidecar?.oci
  if (oci !== undefined) {
    const {config, index, layers, manifest} = oci
    attempt(() => sweepOciDigests(layout, (other) => other !== key))
    attempt(() => removeContents(layout, [manifest, config, ...(index ? [index] : []), ...layers.map((layer) => layer.digest)]))
  }
  attempt(() => removeFile(layout.manifestOf(key)))
  attempt(() => removeFile(layout.lockOf(key)))
  return failures
}

function removeName(layout: Layout, name: string, key: ImageKey): void {
  removeFile(layout.nameOf(name, key))
  try {
    rmdirSync(layout.nameDirOf(name))
  } catch {
    // other images have the name, or the directory is gone: both are as they should be
  }
}

/** Removes what killed imports and removals left: temporaries, and files of images that have no sidecar. */
export async function sweep(layout: Layout): Promise<void> {
  await sweepTemporaries(layout.tmp, {downloads: true})
  const visible = new Set(namesIn(layout.image))
  const orphans = new Set<ImageKey>()
  for (const top of [layout.blobs, layout.manifests]) {
    for (const digits of namesIn(top)) {
      for (const key of namesIn(join(top, digits))) if (isImageKey(key) && !visible.has(`${key}.json`)) orphans.add(key)
    }
  }
  for (const key of orphans) {
    using lock = FileLock.tryAcquire(layout.lockOf(key), 'exclusive', {create: true})
    if (lock === null || readSidecar(layout, key) !== null) continue
    for (const path of [layout.blobOf(key), layout.manifestOf(key), layout.treesizeOf(key), layout.lockOf(key)]) rmSync(path, {force: true})
  }
  sweepNames(layout, visible)
  sweepOciDigests(layout, (key) => visible.has(`${key}.json`))
  removeContents(layout)
  sweepVouchers(layout, (key) => visible.has(`${key}.json`))
}

function sweepNames(layout: Layout, visible: ReadonlySet<string>): void {
  for (const escaped of namesIn(layout.name)) {
    const directory = join(layout.name, escaped)
    for (const key of namesIn(directory)) {
      if (!isImageKey(key) || visible.has(`${key}.json`)) continue
      using lock = FileLock.tryAcquire(layout.lockOf(key), 'exclusive', {create: true})
      if (lock === null || readSidecar(layout, key) !== null) continue
      rmSync(join(directory, key), {force: true})
      rmSync(layout.lockOf(key), {force: true})
    }
    try {
      rmdirSync(directory)
    } catch (error) {
      if (isAbsent(error)) continue
    }
  }
}

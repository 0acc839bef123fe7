/**
 * Content of OCI images, under its digest and as it came: manifests, indexes, configs and compressed layers. What no image's record
 * names is removed; an import that counts on some content keeps all removals away until its image is visible.
 */
import {existsSync, readFileSync, rmSync, statfsSync, statSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {RktError} from '../errors.ts'
import {FileLock, systemError} from '../native/index.ts'
import {type Digest, digestOf, maxDocument} from '../oci/index.ts'
import {ensureDirectory, errnoOf, namesIn, replaceFile} from './files.ts'
import {isImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {LOCK_TIMEOUT_MS, lockFile} from './locks.ts'
import {readSidecar} from './sidecar.ts'

/** A digest as one file name. */
export function contentName(digest: Digest): string {
  return digest.replace(':', '-')
}

const NAME = /^(?:sha256-[\da-f]{64}|sha512-[\da-f]{128})$/

export function contentOf({cas}: Layout, digest: Digest): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return join(cas, 'blob', algorithm, hex.slice(0, 2), contentName(digest))
}

/** Whether the store has content of that digest and size. Its bytes are hashed by who uses them. */
export function hasContent(layout: Layout, digest: Digest, size: number): boolean {
  return statSync(contentOf(layout, digest), {throwIfNoEntry: false})?.size === size
}

/** A small document, whose bytes have been hashed. */
export function readContent(layout: Layout, digest: Digest): Buffer {
  const path = contentOf(layout, digest)
  let bytes: Buffer
  try {
    if (statSync(path).size > maxDocument) throw new RktError('RKT_STORE_DAMAGED', `${path} is too large for a document`)
    bytes = readFileSync(path)
  } catch (error) {
    if (error instanceof RktError) throw error
    throw new RktError('RKT_STORE_DAMAGED', `content ${digest} of the store cannot be read`, {cause: systemError('open', path, error)})
  }
  const found = digestOf(bytes, digest)
  if (found === digest) return bytes
  throw new RktError('RKT_IMAGE_HASH_MISMATCH', `content of the store does not match its digest (${found} != ${digest})`)
}

export function placeDocument(layout: Layout, digest: Digest, bytes: Uint8Array): void {
  const path = contentOf(layout, digest)
  ensureDirectory(dirname(path))
  replaceFile(path, bytes, layout.tmp)
}

/** Held shared by whoever counts on content that no record names yet, exclusive by whoever removes content. */
export async function lockContents({imagelocks}: Layout): Promise<FileLock> {
  return await lockFile(join(imagelocks, 'contents'), 'shared')
}

/** The lock of one piece of content, exclusive while it is written. */
export function contentLock({imagelocks}: Layout, digest: Digest): string {
  return join(imagelocks, contentName(digest))
}

/**
 * Removes content that no record names: all, or of `these` digests. While an import goes on nothing is removed; the next `image gc`
 * takes it.
 */
export function removeContents(layout: Layout, these?: readonly Digest[]): void {
  if (!existsSync(layout.imagelocks)) return
  using lock = FileLock.tryAcquire(join(layout.imagelocks, 'contents'), 'exclusive', {create: true})
  if (lock === null) return
  const named = namedContents(layout)
  const candidates = these?.map((digest) => ({name: contentName(digest), path: contentOf(layout, digest)})) ?? allContents(layout)
  for (const {name, path} of candidates) {
    if (named.has(name)) continue
    rmSync(path, {force: true})
    rmSync(join(layout.imagelocks, name), {force: true})
  }
}

function namedContents(layout: Layout): ReadonlySet<string> {
  const named = new Set<string>()
  for (const file of namesIn(layout.image)) {
    const key = file.replace(/\.json$/, '')
    if (!isImageKey(key)) continue
    const {oci} = readSidecar(layout, key) ?? {}
    if (oci === undefined) continue
    const {config, index, layers, manifest} = oci
    for (const digest of [manifest, config, ...(index === undefined ? [] : [index]), ...layers.map((layer) => layer.digest)]) {
      named.add(contentName(digest))
    }
  }
  return named
}

function* allContents({cas}: Layout): Generator<{name: string; path: string}> {
  for (const algorithm of ['sha256', 'sha512']) {
    for (const digits of namesIn(join(cas, 'blob', algorithm))) {
      const directory = join(cas, 'blob', algorithm, digits)
      for (const name of namesIn(directory)) if (NAME.test(name)) yield {name, path: join(directory, name)}
    }
  }
}

const GIB = 2 ** 30

/**
 * Most bytes that a layer may inflate to: no honest one has more than 250 times its own size beyond the first 4 GiB, and none can
 * have more than the disk has room for.
 */
export function inflationLimit(size: number, directory: string): number {
  const {bavail, bsize} = statfsSync(directory)
  return Math.min(Math.max(4 * GIB, size * 250), bavail * bsize)
}

/** Waits for content that another process is writing; null when it is there, else the lock under which it is to be written. */
export async function awaitContent(layout: Layout, digest: Digest, isThere: () => boolean): Promise<FileLock | null> {
  for (;;) {
    if (isThere()) return null
    let lock: FileLock
    try {
      lock = await FileLock.acquire(contentLock(layout, digest), 'exclusive', {create: true, timeoutMs: LOCK_TIMEOUT_MS})
    } catch (error) {
      // somebody downloads it still: a large layer over a thin line
      if (error instanceof RktError && error.code === 'RKT_LOCKED') continue
      const cause = error instanceof Error ? error.cause : undefined
      if (errnoOf(cause) === 'ENOENT') continue
      throw error
    }
    if (!isThere()) return lock
    lock.release()
  }
}

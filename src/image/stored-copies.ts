/** Images of the store as files and directories of the user. */
import {chmodSync, closeSync, mkdirSync, openSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {encodeImageManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'
import type {ImageKey, Store} from '../store/index.ts'
import {descriptorSink, readDescriptor} from './descriptor-streams.ts'
import {writeOutputDirectory, writeOutputFile} from './output.ts'
import type {ImagePorts} from './ports.ts'

export interface CopyOptions {
  readonly overwrite: boolean
  /** Only what lies in `rootfs`. */
  readonly rootfsOnly: boolean
}

/** Writes the archive as it is stored: uncompressed. */
export async function exportImage(store: Store, key: ImageKey, path: string, overwrite: boolean): Promise<void> {
  using _lock = await store.lock(key, 'shared')
  await writeOutputFile(path, overwrite, async (fd) => {
    const source = openSync(store.blobPath(key), 'r')
    try {
      await pipeline(readDescriptor(source), descriptorSink(fd))
    } finally {
      closeSync(source)
    }
  })
  store.touch(key)
}

/** Unpacks the image alone, without what it depends on. */
export async function extractImage(store: Store, key: ImageKey, path: string, {overwrite, rootfsOnly}: CopyOptions): Promise<void> {
  using _lock = await store.lock(key, 'shared')
  await writeOutputDirectory(path, overwrite, async (directory) => {
    unwrap(await native().extractAci(store.blobPath(key), store.digest(key), directory, rootfsOnly))
  })
  store.touch(key)
}

/** Copies the image with all that it depends on out of the treestore, which is checked first and mended if need be. */
export async function renderImage(
  {diagnostics, store, treestore}: Omit<ImagePorts, 'config'>,
  key: ImageKey,
  path: string,
  {overwrite, rootfsOnly}: CopyOptions,
): Promise<void> {
  await writeOutputDirectory(path, overwrite, async (directory) => {
    const id = treestore.idOf(key)
    if (treestore.isRendered(id)) {
      try {
        await treestore.check(id)
      } catch (error) {
        if (!(error instanceof RktError)) throw error
        diagnostics.note('image', 'warning: tree cache is in a bad state. Rebuilding...')
        await treestore.render(key, {rebuild: true})
      }
    } else await treestore.render(key)
    if (!rootfsOnly) mkdirSync(directory)
    unwrap(await native().copyTree(treestore.rootfsPath(id), rootfsOnly ? directory : join(directory, 'rootfs'), null))
    if (!rootfsOnly) {
      writeFileSync(join(directory, 'manifest'), encodeImageManifest(store.manifest(key)))
      chmodSync(join(directory, 'manifest'), 0o700)
    }
  })
  store.touch(key)
}

/** The manifest of an archive that is not in the store; `tmp` takes its bytes for a moment. */
export async function manifestOfFile(path: string, tmp: string): Promise<string> {
  const fd = openSync(path, 'r')
  try {
    const ingested = unwrap(await native().ingestAci(fd, tmp))
    closeSync(ingested.fd)
    return encodeImageManifest(parseImageManifest(ingested.manifest, path))
  } finally {
    closeSync(fd)
  }
}

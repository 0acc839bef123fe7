/** Images of the store as files and directories of the user. */
import {createHash} from 'node:crypto'
import {chmodSync, closeSync, lstatSync, lutimesSync, mkdirSync, openSync, symlinkSync, utimesSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {encodeImageManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'
import {damageHint, isDamage, type NamedImage, Scratch, withDamageHint} from '../store/index.ts'
import {descriptorSink, readDescriptor} from './descriptor-streams.ts'
import {writeOutputDirectory, writeOutputFile} from './output.ts'
import type {ImagePorts} from './ports.ts'

export interface CopyOptions {
  readonly overwrite: boolean
  /** Only what lies in `rootfs`. */
  readonly rootfsOnly: boolean
}

export interface ExportOptions {
  readonly overwrite: boolean
  /** `oci` writes an OCI image layout as a tar, out of an image of that format or Docker's; `aci` an archive of appc, out of any. */
  readonly format: 'aci' | 'oci'
}

type StorePorts = Pick<ImagePorts, 'store' | 'treestore'>

/** Writes an image as a file: an archive as it is stored, uncompressed; an image of OCI's format as a layout, or flattened. */
export async function exportImage({store, treestore}: StorePorts, image: NamedImage, path: string, options: ExportOptions): Promise<void> {
  await orDistrusted(store, image, () => exportLocked({store, treestore}, image, path, options))
}

/** The next fetch hashes an image that turned out to be damaged. */
async function orDistrusted(store: StorePorts['store'], {key}: NamedImage, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (!isDamage(error)) throw error
    await store.distrust(key)
    throw withDamageHint(error)
  }
  store.touch(key)
}

async function exportLocked({store, treestore}: StorePorts, image: NamedImage, path: string, options: ExportOptions): Promise<void> {
  const {key} = image
  using _lock = await store.lock(key, 'shared')
  const isOci = store.oci(key) !== null
  if (options.format === 'oci') {
    const {writeLayoutTar} = await import('./layout-tar.ts')
    const layout = await writeLayoutTar(store, image)
    await writeOutputFile(path, options.overwrite, layout)
  } else if (isOci) {
    await writeOutputFile(path, options.overwrite, (fd) => packFlattened({store, treestore}, image, fd))
  } else {
    await writeOutputFile(path, options.overwrite, async (fd) => {
      const source = openSync(store.blobPath(key), 'r')
      try {
        await copyHashed(source, fd, store.digest(key), key)
      } finally {
        closeSync(source)
      }
    })
  }
}

/** The file does not get its name when its bytes are not those of the image. */
async function copyHashed(source: number, target: number, sha512: string, key: string): Promise<void> {
  const hash = createHash('sha512')
  const hashed = async function* () {
    for await (const chunk of readDescriptor(source)) {
      hash.update(chunk)
      yield chunk
    }
  }
  await pipeline(hashed, descriptorSink(target))
  const found = hash.digest('hex')
  if (found.startsWith(sha512)) return
  throw new RktError('RKT_IMAGE_HASH_MISMATCH', `image hash does not match expected (sha512-${found.slice(0, 64)} != ${key})`, {
    hint: damageHint,
  })
}

/** An archive of the image as apps see it, with its appc view as the manifest. Each file keeps its time. */
async function packFlattened({store, treestore}: StorePorts, image: NamedImage, fd: number): Promise<void> {
  const {packAci} = await import('./pack-aci.ts')
  await using scratch = Scratch.make(store.tmpDir(), 'export')
  const {manifest} = await layOut({store, treestore}, image, scratch.path, false)
  addDeviceLinks(join(scratch.path, 'rootfs'))
  await packAci({compress: false, manifest, rootfs: join(scratch.path, 'rootfs')}, fd)
}

/** What archives made of such images have always had; `/dev/console` works where standard output is a socket too. */
const deviceLinks = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/dev/console'],
  ['stderr', '/dev/console'],
] as const

/** Adds the links that the image itself has not, with the epoch as their time. */
function addDeviceLinks(rootfs: string): void {
  const dev = join(rootfs, 'dev')
  const present = lstatSync(dev, {throwIfNoEntry: false})
  if (present === undefined) {
    mkdirSync(dev)
    chmodSync(dev, 0o755)
  } else if (!present.isDirectory()) throw new RktError('RKT_LAYER_ENTRY', 'invalid layer: "/dev" is not a directory')
  for (const [name, target] of deviceLinks) {
    const link = join(dev, name)
    if (lstatSync(link, {throwIfNoEntry: false}) !== undefined) continue
    symlinkSync(target, link)
    lutimesSync(link, 0, 0)
  }
  utimesSync(dev, present?.atime ?? 0, present?.mtime ?? 0)
}

/** Flattens an image of OCI's format into a directory, as `rootfs` in it, or as all of it. */
async function layOut(
  {store, treestore}: StorePorts,
  {key, source}: NamedImage,
  directory: string,
  rootfsOnly: boolean,
): Promise<{manifest: string}> {
  const rootfs = rootfsOnly ? directory : join(directory, 'rootfs')
  mkdirSync(rootfs)
  chmodSync(rootfs, 0o755)
  await treestore.renderInto(key, rootfs)
  return {manifest: encodeImageManifest(store.ociDocuments(key, source).view)}
}

async function copyFlattened(
  ports: StorePorts,
  image: NamedImage,
  directory: string,
  {rootfsOnly}: CopyOptions,
  mode: number,
): Promise<void> {
  if (!rootfsOnly) mkdirSync(directory)
  const {manifest} = await layOut(ports, image, directory, rootfsOnly)
  if (rootfsOnly) return
  writeFileSync(join(directory, 'manifest'), manifest)
  chmodSync(join(directory, 'manifest'), mode)
}

/** Unpacks the image alone, without what it depends on. */
export async function extractImage({store, treestore}: StorePorts, image: NamedImage, path: string, options: CopyOptions): Promise<void> {
  const {key} = image
  await orDistrusted(store, image, async () => {
    using _lock = await store.lock(key, 'shared')
    await writeOutputDirectory(path, options.overwrite, async (directory) => {
      if (store.oci(key) !== null) await copyFlattened({store, treestore}, image, directory, options, 0o644)
      else unwrap(await native().extractAci(store.blobPath(key), store.digest(key), directory, options.rootfsOnly))
    })
  })
}

/**
 * Copies the image with all that it depends on out of the treestore, which is checked first and mended if need be. An image of OCI's
 * format, which depends on nothing, comes out of its layers.
 */
export async function renderImage(
  {diagnostics, store, treestore}: Omit<ImagePorts, 'config'>,
  image: NamedImage,
  path: string,
  options: CopyOptions,
): Promise<void> {
  const {key} = image
  const {overwrite, rootfsOnly} = options
  const fill = async (directory: string) => {
    if (store.oci(key) !== null) {
      await copyFlattened({store, treestore}, image, directory, options, 0o700)
      return
    }
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
  }
  await orDistrusted(store, image, () => writeOutputDirectory(path, overwrite, fill))
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

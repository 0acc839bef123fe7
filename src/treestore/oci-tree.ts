/** Trees of OCI images: stacks of rendered layers, or one directory where the layers cannot be stacked as they are. */
import {randomUUID} from 'node:crypto'
import {closeSync, existsSync, lstatSync, mkdirSync, openSync, rmSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {RktError} from '../errors.ts'
import type {RenderRequest, TreeStats} from '../native/contract.ts'
import {type FileLock, native, systemError, unwrap} from '../native/index.ts'
import {type Digest, parseDigest} from '../oci/index.ts'
import {type ImageKey, type OciDocuments, type OciLayer, readText, Scratch, type Store} from '../store/index.ts'
import type {TreeId} from './tree-id.ts'

/** Beyond it overlayfs costs more at every look-up than a flat tree at its one rendering; the kernel itself takes 500. */
const MAX_STACK = 100

/** The tree of an image, which is bound to it: manifest, config and DiffIDs follow from its key. Its layers are shared, not its tree. */
export function ociTreeId(key: ImageKey): TreeId {
  return `oci-${key}` as string as TreeId
}

/** The stack of a tree, the top layer first; null for a tree that is one directory. */
export function readStack(path: string): readonly Digest[] | null {
  const text = readText(path)
  if (text === null) return null
  try {
    const list: unknown = JSON.parse(text)
    if (!Array.isArray(list)) throw new Error('not a list')
    return list.map((entry) => parseDigest(String(entry)))
  } catch (cause) {
    throw new RktError('RKT_TREE_CORRUPT', `${path} is damaged`, {cause, hint: 'Render the image again with "rkt image verify".'})
  }
}

export interface OciRendering {
  readonly rebuild: boolean
  /** Records the stack (top first) while its layers are locked. */
  readonly stacked: (stack: readonly Digest[], bytes: number) => Promise<void>
  /** Renders into one directory. */
  readonly flat: () => Promise<void>
}

/** Renders the layers that are not rendered yet, then has the tree recorded in the form that shows the image as it is. */
export async function renderOci(store: Store, documents: OciDocuments, {flat, rebuild, stacked}: OciRendering): Promise<void> {
  const locks: FileLock[] = []
  try {
    const diffIds = documents.layers.map(({diffId}) => diffId)
    const stack = diffIds.toReversed()
    const can = diffIds.length > 0 && diffIds.length <= MAX_STACK && (await layersReady(store, documents.layers, rebuild, locks))
    if (!can || changesImplied(store, stack)) {
      await flat()
      return
    }
    const bytes = [...new Set(diffIds)].reduce((sum, diffId) => sum + store.layers.bytes(diffId), 0)
    await stacked(stack, bytes)
  } finally {
    for (const lock of locks) lock.release()
  }
}

/** Has every layer rendered and locked against removal; false when one cannot be rendered by itself. */
async function layersReady(store: Store, layers: readonly OciLayer[], rebuild: boolean, locks: FileLock[]): Promise<boolean> {
  const {layers: rendered} = store
  // in one order, so that two images of the same layers do not wait for each other in a circle
  const each = [...new Map(layers.map((layer) => [layer.diffId, layer])).values()].sort((a, b) => (a.diffId < b.diffId ? -1 : 1))
  for (const layer of each) {
    for (let again = rebuild; ; again = false) {
      const shared = await rendered.lock(layer.diffId, 'shared')
      if (!again && rendered.isRendered(layer.diffId)) {
        locks.push(shared)
        break
      }
      shared.release()
      if (!(await renderLayer(store, layer, again))) return false
    }
  }
  return true
}

async function renderLayer(store: Store, layer: OciLayer, again: boolean): Promise<boolean> {
  const {layers} = store
  using _lock = await layers.lock(layer.diffId, 'exclusive')
  if (!again && layers.isRendered(layer.diffId)) return true
  // A stack that is mounted reads the directories that it was made of: a sound layer stays.
  if (again && layers.isRendered(layer.diffId) && (await isSound(store, layer))) return true
  try {
    const {rendered} = await ingest(store, layer, await layers.begin(layer.diffId))
    if (rendered === null) throw new RktError('RKT_INTERNAL', `layer ${layer.diffId} was not rendered`)
    await layers.finish(layer.diffId, rendered)
    return rendered.whole
  } catch (error) {
    await layers.discard(layer.diffId)
    throw error
  }
}

async function ingest(store: Store, layer: OciLayer, rootfs: string) {
  const {blob, diffId, limit} = store.flatLayer(layer)
  let fd: number
  try {
    fd = openSync(blob, 'r')
  } catch (error) {
    throw new RktError('RKT_STORE_DAMAGED', `layer ${layer.digest} of the store cannot be read`, {cause: systemError('open', blob, error)})
  }
  try {
    return unwrap(await native().ingestLayer(fd, {blobDir: null, diffId, digest: null, limit, rootfs, size: null}))
  } finally {
    closeSync(fd)
  }
}

/** Refuses layers that are not what their bytes give. */
export async function checkLayers(store: Store, layers: readonly OciLayer[]): Promise<void> {
  for (const layer of layers) {
    using _lock = await store.layers.lock(layer.diffId, 'shared')
    if (await isSound(store, layer)) continue
    throw new RktError('RKT_TREE_CORRUPT', `wrong tree hash: layer ${layer.diffId} is not what its bytes give`)
  }
}

/** Renders a layer once more, beside the other, and compares. */
async function isSound(store: Store, layer: OciLayer): Promise<boolean> {
  if (!store.layers.isRendered(layer.diffId)) return false
  await using scratch = Scratch.make(store.tmpDir(), 'layer')
  const rootfs = join(scratch.path, 'rootfs')
  mkdirSync(rootfs, 0o755)
  await ingest(store, layer, rootfs)
  const [now, then] = await Promise.all([native().digestTree(store.layers.rootfs(layer.diffId)), native().digestTree(rootfs)])
  return unwrap(now) === unwrap(then)
}

/**
 * Whether stacking would change a directory: an upper layer has it only because something lies in it, with default owner and mode,
 * and a lower layer says something else of it, or has a link there through which the name leads. Layers that real tools make describe
 * all their directories.
 */
function changesImplied({layers}: Store, stack: readonly Digest[]): boolean {
  return stack.some((upper, position) => {
    const below = stack.slice(position + 1).map((diffId) => layers.rootfs(diffId))
    return layers.implied(upper).some((path) => below.some((rootfs) => isOtherDirectory(Buffer.concat([Buffer.from(`${rootfs}/`), path]))))
  })
}

function isOtherDirectory(path: Buffer): boolean {
  const stat = lstatSync(path, {throwIfNoEntry: false})
  if (stat?.isSymbolicLink()) return true
  if (stat === undefined || !stat.isDirectory()) return false
  return (stat.mode & 0o7777) !== 0o755 || stat.uid !== 0 || stat.gid !== 0
}

/** Lays all layers on each other in an empty directory. */
export async function flattenInto(store: Store, key: ImageKey, dir: string, shift: RenderRequest['shift']): Promise<TreeStats> {
  const {layers} = store.ociDocuments(key)
  // beside the target: the layers are moved into it
  const scratch = join(dirname(dir), `.layers-${randomUUID()}`)
  try {
    return unwrap(
      await native().flattenLayers(
        layers.map((layer) => store.flatLayer(layer)),
        dir,
        scratch,
        shift,
      ),
    )
  } finally {
    if (existsSync(scratch)) rmSync(scratch, {force: true, recursive: true})
  }
}

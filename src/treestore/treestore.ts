import {chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {encodeImageManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {RenderRequest, TreeStats} from '../native/contract.ts'
import {type FileLock, flush, native, systemError, unwrap} from '../native/index.ts'
import {
  ensureDirectory,
  type ImageKey,
  isDamage,
  isImageKey,
  lockFile,
  namesIn,
  readText,
  removeFile,
  type Store,
  withDamageHint,
} from '../store/index.ts'
import {checkLayers, flattenInto, ociTreeId, readStack, renderOci} from './oci-tree.ts'
import {isTreeId, type RenderEntry, renderList, type TreeId, treeIdOf} from './tree-id.ts'

export interface RenderOptions {
  /** Renders again what is rendered already. */
  readonly rebuild?: boolean
}

/** What lies in the directory of a tree. */
type TreePart = 'hash' | 'image' | 'manifest' | 'rendered' | 'rootfs' | 'stack'

/** Only root reaches into a tree: setuid programs and secrets of images lie in it. */
const TREES_MODE = 0o700

/**
 * Images rendered once: an archive with its dependencies into `cas/tree/ID/rootfs`, an image of OCI's format as a stack of layers that
 * it shares with others. Pods use either as overlay lowers.
 */
export class Treestore {
  readonly #locks: string
  readonly #store: Store
  readonly #trees: string

  constructor(casDir: string, store: Store) {
    this.#locks = join(casDir, 'treestorelocks')
    this.#store = store
    this.#trees = join(casDir, 'tree')
  }

  /** The id of the tree that the image gives with what it depends on now. */
  idOf(key: ImageKey): TreeId {
    if (this.#store.oci(key) !== null) return ociTreeId(key)
    return treeIdOf(renderList(this.#store, key).map((entry) => entry.key))
  }

  isRendered(id: TreeId): boolean {
    return existsSync(this.#path(id, 'rendered'))
  }

  /**
   * The tree as one directory: every archive's, and what had to be flattened. A stack of layers has none: whoever needs one takes
   * `lowers` or `renderInto`.
   */
  rootfsPath(id: TreeId): string {
    if (readStack(this.#path(id, 'stack')) !== null) throw new RktError('RKT_TREE_LAYERED', `tree ${id} is a stack of layers`)
    return this.#path(id, 'rootfs')
  }

  /** What an overlay of the tree is made of, the highest first. */
  lowers(id: TreeId): string[] {
    const stack = readStack(this.#path(id, 'stack'))
    return stack === null ? [this.#path(id, 'rootfs')] : stack.map((diffId) => this.#store.layers.rootfs(diffId))
  }

  manifestPath(id: TreeId): string {
    return this.#path(id, 'manifest')
  }

  /** The image that a tree is of; null when nobody says so. */
  imageOf(id: TreeId): ImageKey | null {
    const image = isTreeId(id) ? (readText(this.#path(id, 'image'))?.trim() ?? '') : ''
    return isImageKey(image) ? image : null
  }

  /** The image and all that it depends on now; it alone where that cannot be told. */
  imagesOf(key: ImageKey): readonly ImageKey[] {
    try {
      return this.#store.oci(key) === null ? renderList(this.#store, key).map((entry) => entry.key) : [key]
    } catch {
      return [key]
    }
  }

  /** Why trees cannot serve as overlay lowers here, null when they can. Tried on the store's own file system. */
  overlayProblem(): string | null {
    return unwrap(native().probeOverlay(this.#store.tmpDir()))
  }

  /**
   * Renders the image and answers its tree; one that is rendered costs a look. The flag `rendered` comes last, when everything is
   * on the disk: a tree without it is what a killed process left, and is rendered anew.
   */
  async render(key: ImageKey, {rebuild = false}: RenderOptions = {}): Promise<TreeId> {
    if (this.#store.oci(key) !== null) return await this.#renderOci(key, rebuild)
    const entries = renderList(this.#store, key)
    const id = treeIdOf(entries.map((entry) => entry.key))
    if (!rebuild && this.isRendered(id)) return id
    using _lock = await this.#lock(id, 'exclusive')
    if (!rebuild && this.isRendered(id)) return id
    await this.#discard(id)
    try {
      await this.#renderTree(id, key, entries)
    } catch (error) {
      await this.#discard(id)
      throw await this.#distrusting(
        error,
        entries.map((entry) => entry.key),
      )
    }
    return id
  }

  /** Renders the image straight into an empty directory, ids shifted: for pods without overlay. */
  async renderInto(key: ImageKey, dir: string, {shift = null}: {shift?: RenderRequest['shift']} = {}): Promise<TreeStats> {
    if (this.#store.oci(key) !== null) return await flattenInto(this.#store, key, dir, shift)
    return await this.#renderImages(renderList(this.#store, key), dir, shift)
  }

  /**
   * Refuses a tree whose content is not what was rendered. A layer is compared with what its bytes in the store, which are hashed,
   * give when they are rendered again.
   */
  async check(id: TreeId): Promise<void> {
    using _lock = await this.#lock(id, 'shared')
    const stack = readStack(this.#path(id, 'stack'))
    if (stack !== null && this.isRendered(id)) {
      const image = this.imageOf(id)
      if (image === null) throw new RktError('RKT_TREE_CORRUPT', `tree ${id} does not say whose it is`)
      await checkLayers(this.#store, this.#store.ociDocuments(image).layers)
      return
    }
    let expected: string
    try {
      expected = readFileSync(this.#path(id, 'hash'), 'utf8').trim()
    } catch (error) {
      throw new RktError('RKT_TREE_NOT_RENDERED', 'cannot read hash file', {cause: systemError('open', this.#path(id, 'hash'), error)})
    }
    const actual = unwrap(await native().digestTree(this.#path(id, 'rootfs')))
    if (actual !== expected) throw new RktError('RKT_TREE_CORRUPT', `wrong tree hash: ${actual}, expected: ${expected}`)
  }

  /** Removes a tree; one that is gone already is success. */
  async remove(id: TreeId): Promise<void> {
    using _lock = await this.#lock(id, 'exclusive')
    const image = this.imageOf(id)
    await this.#discard(id)
    if (image !== null) this.#store.setTreeSize(image, 0)
    removeFile(join(this.#locks, id))
    if (id.startsWith('oci-')) await this.sweep()
  }

  /** Removes the layers that no tree has. */
  async sweep(): Promise<void> {
    await this.#store.layers.sweep(() => new Set(this.list().flatMap((id) => readStack(this.#path(id, 'stack')) ?? [])))
  }

  /** All trees, rendered or left over. */
  list(): TreeId[] {
    return namesIn(this.#trees).filter(isTreeId).sort()
  }

  async #renderOci(key: ImageKey, rebuild: boolean): Promise<TreeId> {
    const id = ociTreeId(key)
    if (!rebuild && this.isRendered(id)) return id
    using _lock = await this.#lock(id, 'exclusive')
    if (!rebuild && this.isRendered(id)) return id
    const documents = this.#store.ociDocuments(key)
    // by the newest of its names: whoever asks by another one derives the view again
    const manifest = encodeImageManifest(documents.view)
    await this.#discard(id)
    try {
      makeDirectory(join(this.#trees, id))
      this.#store.touch(key)
      await renderOci(this.#store, documents, {
        flat: async () => {
          const rootfs = this.#path(id, 'rootfs')
          makeDirectory(rootfs)
          const {bytes} = await flattenInto(this.#store, key, rootfs, null)
          this.#writeDurably(id, 'hash', unwrap(await native().digestTree(rootfs)))
          await this.#finish(id, key, manifest, bytes)
        },
        rebuild,
        stacked: async (stack, bytes) => {
          this.#writeDurably(id, 'stack', `${JSON.stringify(stack)}\n`)
          await this.#finish(id, key, manifest, bytes)
        },
      })
    } catch (error) {
      await this.#discard(id)
      throw await this.#distrusting(error, [key])
    }
    return id
  }

  /** The next fetch hashes images that turned out to be damaged. */
  async #distrusting(error: unknown, keys: readonly ImageKey[]): Promise<unknown> {
    if (!isDamage(error)) return error
    for (const key of keys) await this.#store.distrust(key)
    return withDamageHint(error)
  }

  async #finish(id: TreeId, key: ImageKey, manifest: string, bytes: number): Promise<void> {
    this.#write(id, 'manifest', manifest)
    this.#write(id, 'image', key)
    unwrap(await native().syncFilesystem(join(this.#trees, id)))
    this.#writeDurably(id, 'rendered', '')
    this.#store.setTreeSize(key, bytes)
  }

  async #renderTree(id: TreeId, key: ImageKey, entries: readonly RenderEntry[]): Promise<void> {
    const [tree, rootfs] = [join(this.#trees, id), this.#path(id, 'rootfs')]
    makeDirectory(tree)
    const manifest = await this.#renderWithManifest(tree, key, entries)
    this.#store.touch(key)
    this.#write(id, 'manifest', encodeImageManifest(parseImageManifest(manifest, `the manifest of image ${key}`)))
    this.#write(id, 'image', key)
    // Three walks over a tree that changes no more: the disk writes while the cores hash. Only syncfs(2) makes 40,000 files durable
    // at a bearable price.
    const [digest, stats, synced] = await Promise.all([
      native().digestTree(rootfs),
      native().treeStats(tree),
      native().syncFilesystem(tree),
    ])
    unwrap(synced)
    this.#writeDurably(id, 'hash', unwrap(digest))
    this.#writeDurably(id, 'rendered', '')
    this.#store.setTreeSize(key, unwrap(stats).bytes)
  }

  /**
   * Fills `rootfs` and answers the manifest out of the blob, both from bytes that were hashed on the way: what group members may
   * have written into the store cannot get into a tree. An image of its own is one pass; with others, or with a whitelist, the
   * manifest takes a second one over the top image.
   */
  async #renderWithManifest(tree: string, key: ImageKey, entries: readonly RenderEntry[]): Promise<Buffer> {
    if (entries.length === 1 && entries[0]?.own === null) {
      using _lock = await this.#store.lock(key, 'shared')
      unwrap(await native().extractAci(this.#store.blobPath(key), this.#store.digest(key), tree, false))
      return readFileSync(join(tree, 'manifest'))
    }
    makeDirectory(join(tree, 'rootfs'))
    await this.#renderImages(entries, join(tree, 'rootfs'), null)
    return await this.#store.verifiedManifest(key)
  }

  async #renderImages(entries: readonly RenderEntry[], target: string, shift: RenderRequest['shift']): Promise<TreeStats> {
    const locks: FileLock[] = []
    try {
      for (const key of [...new Set(entries.map((entry) => entry.key))].sort()) locks.push(await this.#store.lock(key, 'shared'))
      const images = entries.map(({inherited, key, own}) => ({
        blob: this.#store.blobPath(key),
        inherited,
        own,
        sha512: this.#store.digest(key),
      }))
      return unwrap(await native().renderTree({images, shift, target}))
    } finally {
      for (const lock of locks) lock.release()
    }
  }

  /** Removes a tree under its lock: the flag first, so that a tree with a flag is always whole. */
  async #discard(id: TreeId): Promise<void> {
    const tree = join(this.#trees, id)
    if (!existsSync(tree)) return
    rmSync(this.#path(id, 'rendered'), {force: true})
    flush(tree)
    unwrap(await native().removeTree(tree))
  }

  async #lock(id: TreeId, mode: 'shared' | 'exclusive'): Promise<FileLock> {
    ensureDirectory(this.#trees, TREES_MODE)
    ensureDirectory(this.#locks, TREES_MODE)
    return await lockFile(join(this.#locks, id), mode)
  }

  #path(id: TreeId, part: TreePart): string {
    return join(this.#trees, id, part)
  }

  #write(id: TreeId, part: TreePart, content: string | Uint8Array): void {
    const path = this.#path(id, part)
    try {
      writeFileSync(path, content)
      chmodSync(path, 0o644)
    } catch (error) {
      throw systemError('write', path, error)
    }
  }

  #writeDurably(id: TreeId, part: TreePart, content: string): void {
    this.#write(id, part, content)
    flush(this.#path(id, part))
    flush(join(this.#trees, id))
  }
}

export function openTreestore(casDir: string, store: Store): Treestore {
  return new Treestore(casDir, store)
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path)
    chmodSync(path, 0o755)
  } catch (error) {
    throw systemError('mkdir', path, error)
  }
}

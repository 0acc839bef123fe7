import {chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {encodeImageManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {RenderRequest, TreeStats} from '../native/contract.ts'
import {type FileLock, native, systemError, unwrap} from '../native/index.ts'
import {
  ensureDirectory,
  type ImageKey,
  isImageKey,
  lockFile,
  namesIn,
  readText,
  removeFile,
  type Store,
  syncDirectory,
} from '../store/index.ts'
import {isTreeId, type RenderEntry, renderList, type TreeId, treeIdOf} from './tree-id.ts'

export interface RenderOptions {
  /** Renders again what is rendered already. */
  readonly rebuild?: boolean
}

/** Only root reaches into a tree: setuid programs and secrets of images lie in it. */
const TREES_MODE = 0o700

/** Images rendered once, each with its dependencies, into `cas/tree/ID/rootfs`, which pods use as overlay lower. */
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
    return treeIdOf(renderList(this.#store, key).map((entry) => entry.key))
  }

  isRendered(id: TreeId): boolean {
    return existsSync(this.#path(id, 'rendered'))
  }

  rootfsPath(id: TreeId): string {
    return this.#path(id, 'rootfs')
  }

  manifestPath(id: TreeId): string {
    return this.#path(id, 'manifest')
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
      throw error
    }
    return id
  }

  /** Renders the image straight into an empty directory, ids shifted: for pods without overlay. */
  async renderInto(key: ImageKey, dir: string, {shift = null}: {shift?: RenderRequest['shift']} = {}): Promise<TreeStats> {
    return await this.#renderImages(renderList(this.#store, key), dir, shift)
  }

  /** Refuses a tree whose content is not what was rendered. */
  async check(id: TreeId): Promise<void> {
    using _lock = await this.#lock(id, 'shared')
    let expected: string
    try {
      expected = readFileSync(this.#path(id, 'hash'), 'utf8').trim()
    } catch (error) {
      throw new RktError('RKT_TREE_NOT_RENDERED', 'cannot read hash file', {cause: systemError('open', this.#path(id, 'hash'), error)})
    }
    const actual = unwrap(await native().digestTree(this.rootfsPath(id)))
    if (actual !== expected) throw new RktError('RKT_TREE_CORRUPT', `wrong tree hash: ${actual}, expected: ${expected}`)
  }

  /** Removes a tree; one that is gone already is success. */
  async remove(id: TreeId): Promise<void> {
    using _lock = await this.#lock(id, 'exclusive')
    const image = readText(this.#path(id, 'image'))?.trim() ?? ''
    await this.#discard(id)
    if (isImageKey(image)) this.#store.setTreeSize(image, 0)
    removeFile(join(this.#locks, id))
  }

  /** All trees, rendered or left over. */
  list(): TreeId[] {
    return namesIn(this.#trees).filter(isTreeId).sort()
  }

  async #renderTree(id: TreeId, key: ImageKey, entries: readonly RenderEntry[]): Promise<void> {
    const [tree, rootfs] = [join(this.#trees, id), this.rootfsPath(id)]
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
    syncDirectory(tree)
    unwrap(await native().removeTree(tree))
  }

  async #lock(id: TreeId, mode: 'shared' | 'exclusive'): Promise<FileLock> {
    ensureDirectory(this.#trees, TREES_MODE)
    ensureDirectory(this.#locks, TREES_MODE)
    return await lockFile(join(this.#locks, id), mode)
  }

  #path(id: TreeId, part: 'hash' | 'image' | 'manifest' | 'rendered' | 'rootfs'): string {
    return join(this.#trees, id, part)
  }

  #write(id: TreeId, part: 'hash' | 'image' | 'manifest' | 'rendered', content: string | Uint8Array): void {
    const path = this.#path(id, part)
    try {
      writeFileSync(path, content)
      chmodSync(path, 0o644)
    } catch (error) {
      throw systemError('write', path, error)
    }
  }

  #writeDurably(id: TreeId, part: 'hash' | 'rendered', content: string): void {
    this.#write(id, part, content)
    const fd = openSync(this.#path(id, part), 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    syncDirectory(join(this.#trees, id))
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

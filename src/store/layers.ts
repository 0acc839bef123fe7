/**
 * Rendered layers of OCI images: each once, under its DiffID, in the form that overlayfs reads. Only root reaches into them. A layer
 * is whole when its file `rendered` is there, which comes last.
 */
import {chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {FileLock, flush, native, type RenderedLayer, systemError, unwrap} from '../native/index.ts'
import {type Digest, parseDigest} from '../oci/index.ts'
import {ensureDirectory, namesIn, readText} from './files.ts'
import {lockFile} from './locks.ts'

const MODE = 0o700

export class Layers {
  readonly #layers: string
  readonly #locks: string

  constructor(casDir: string) {
    this.#layers = join(casDir, 'layer')
    this.#locks = join(casDir, 'treestorelocks')
  }

  /** Whether the caller may write layers at all. */
  static get allowed(): boolean {
    return process.geteuid?.() === 0
  }

  rootfs(diffId: Digest): string {
    return this.#path(diffId, 'rootfs')
  }

  isRendered(diffId: Digest): boolean {
    return existsSync(this.#path(diffId, 'rendered'))
  }

  /** Bytes of the tree. */
  bytes(diffId: Digest): number {
    return Number(readText(this.#path(diffId, 'bytes'))?.trim() ?? 0)
  }

  /** Directories that no entry of the layer describes, as bytes: paths below the root, which is the empty one. */
  implied(diffId: Digest): Buffer[] {
    const bytes = readFileSync(this.#path(diffId, 'implied'))
    const paths: Buffer[] = []
    for (let start = 0, end = bytes.indexOf(0); end >= 0; start = end + 1, end = bytes.indexOf(0, start)) {
      paths.push(bytes.subarray(start, end))
    }
    return paths
  }

  /** All layers, rendered or left over. */
  list(): Digest[] {
    const names = namesIn(this.#layers).filter((name) => /^(?:sha256-[\da-f]{64}|sha512-[\da-f]{128})$/.test(name))
    return names.map((name) => parseDigest(name.replace('-', ':')))
  }

  /** Shared while the layer is counted on, exclusive while it is made or removed. */
  async lock(diffId: Digest, mode: 'shared' | 'exclusive'): Promise<FileLock> {
    this.#prepare()
    return await lockFile(this.#lockOf(diffId), mode)
  }

  tryLock(diffId: Digest): FileLock | null {
    this.#prepare()
    return FileLock.tryAcquire(this.#lockOf(diffId), 'exclusive', {create: true})
  }

  /** Makes an empty tree, under the exclusive lock; answers its root. */
  async begin(diffId: Digest): Promise<string> {
    await this.discard(diffId)
    const rootfs = this.rootfs(diffId)
    try {
      mkdirSync(join(this.#layers, nameOf(diffId)), MODE)
      mkdirSync(rootfs)
      chmodSync(rootfs, 0o755)
    } catch (error) {
      throw systemError('mkdir', rootfs, error)
    }
    return rootfs
  }

  /** Says that the tree is whole and on the disk; one that is of no use is removed. */
  async finish(diffId: Digest, {bytes, implied, whole}: RenderedLayer): Promise<void> {
    if (!whole) {
      await this.discard(diffId)
      return
    }
    this.#write(diffId, 'bytes', `${bytes}\n`)
    this.#write(diffId, 'implied', implied)
    // whose attributes mark opaque directories
    this.#write(diffId, 'rendered', Layers.allowed ? 'trusted\n' : 'user\n')
    flush(this.#layers)
  }

  /** Removes a layer, under its exclusive lock: the flag first, so that a layer with a flag is always whole. */
  async discard(diffId: Digest): Promise<void> {
    const layer = join(this.#layers, nameOf(diffId))
    if (!existsSync(layer)) return
    rmSync(this.#path(diffId, 'rendered'), {force: true})
    flush(layer)
    unwrap(await native().removeTree(layer))
  }

  /** Removes all layers that nobody works on and that are not `named`, which is asked when the layer is locked. */
  async sweep(named: () => ReadonlySet<Digest>): Promise<void> {
    for (const diffId of this.list()) {
      using lock = this.tryLock(diffId)
      if (lock === null || named().has(diffId)) continue
      await this.discard(diffId)
      rmSync(this.#lockOf(diffId), {force: true})
    }
  }

  #prepare(): void {
    ensureDirectory(this.#layers, MODE)
    ensureDirectory(this.#locks, MODE)
  }

  #lockOf(diffId: Digest): string {
    return join(this.#locks, `layer-${nameOf(diffId)}`)
  }

  #path(diffId: Digest, part: 'bytes' | 'implied' | 'rendered' | 'rootfs'): string {
    return join(this.#layers, nameOf(diffId), part)
  }

  #write(diffId: Digest, part: 'bytes' | 'implied' | 'rendered', content: string | Uint8Array): void {
    const path = this.#path(diffId, part)
    try {
      writeFileSync(path, content)
    } catch (error) {
      throw systemError('write', path, error)
    }
    flush(path)
    flush(join(this.#layers, nameOf(diffId)))
  }
}

function nameOf(diffId: Digest): string {
  return diffId.replace(':', '-')
}

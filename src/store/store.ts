import {existsSync, readFileSync} from 'node:fs'
import {encodeImageManifest, type ImageManifest, type Label, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {type FileLock, type FlatLayer, systemError} from '../native/index.ts'
import type {Digest, ImageIdentity} from '../oci/index.ts'
import {adopt, needsAdoption} from './adopt.ts'
import {believedNames, identityOf, newestOf} from './believed-names.ts'
import {changeRecord} from './change-record.ts'
import {contentOf, inflationLimit} from './contents.ts'
import {ensureDirectory, replaceFile} from './files.ts'
import {bumpGeneration} from './generation.ts'
import type {ImageKey} from './image-key.ts'
import {type ImportOptions, importImage} from './import-image.ts'
import {touchImage} from './last-use.ts'
import {Layers} from './layers.ts'
import {type Layout, layoutOf} from './layout.ts'
import {lockImage, lockStore} from './locks.ts'
import {findByName, type NamedImage, resolveKey} from './look-up.ts'
import {nameOfSource, type StoredName, type StoredNames, withName} from './names.ts'
import type {OciDocuments, OciLayer, OciRecord} from './oci-image.ts'
import {OciImport} from './oci-import.ts'
import {type Remote, readRemote, writeRemote} from './remote.ts'
import {removeImage, removeNameOf, sweep} from './remove-image.ts'
import {isAbsent, lastUse, readSidecar, readTreeSize, type Sidecar} from './sidecar.ts'
import {damageOf, distrust, isSound} from './soundness.ts'
import {verifiedArchiveManifest, verifiedDocuments} from './verified-reads.ts'
import {needsVouchers, readVouchedRemote, readVoucher, vouch, vouchForRemote} from './vouchers.ts'

/** What the store knows of an image without reading its manifest: by its newest name, and of all. */
export interface ImageInfo extends Omit<StoredName, 'identity'> {
  readonly key: ImageKey
  /** What it is called and where it came from, the newest first. */
  readonly names: StoredNames
  readonly lastUsed: Date
  /** Bytes of the uncompressed tar, or of an OCI image's documents and layers as they came. */
  readonly size: number
  /** Present for an image of OCI's or Docker's format. */
  readonly oci?: OciRecord
  /** Bytes of the rendered tree, 0 when there is none. */
  readonly treeSize: number
}

/**
 * Images by content. A store that does not exist is empty; the first import makes it. Reading needs no write permission. While it
 * is open, it holds a shared lock on its directory.
 */
export class Store implements Disposable {
  readonly casDir: string
  /** Rendered layers of OCI images. */
  readonly layers: Layers
  readonly #layout: Layout
  #lock: FileLock | null = null

  constructor(casDir: string) {
    this.casDir = casDir
    this.layers = new Layers(casDir)
    this.#layout = layoutOf(casDir)
    if (needsAdoption(this.#layout)) adopt(this.#layout)
    if (existsSync(casDir)) this.#hold()
  }

  /** Where blobs, downloads and extractions may be written before they have a name. Made when it is missing. */
  tmpDir(): string {
    this.#prepare()
    return this.#layout.tmp
  }

  /** Reads an archive from the descriptor's position on into the store: all of it or nothing. */
  async importAci(sourceFd: number, options: ImportOptions): Promise<ImageKey> {
    this.#prepare()
    return await importImage(this.#layout, sourceFd, options)
  }

  /** Begins the import of an image of OCI's or Docker's format. Until it is disposed of, no content leaves the store. */
  async importOci(): Promise<OciImport> {
    this.#prepare()
    return await OciImport.begin(this.#layout)
  }

  /** What the record says of an OCI image; null for one that is an archive. */
  oci(key: ImageKey): OciRecord | null {
    return this.#sidecar(key).oci ?? null
  }

  /**
   * The documents of an OCI image, which are hashed for it: the manifest against the image's key, the config and with it the DiffIDs
   * against the manifest. The view is the one that the image has by that source, else by the newest.
   */
  ociDocuments(key: ImageKey, source?: string): OciDocuments {
    return this.#documents(key, this.#identity(key, source))
  }

  #documents(key: ImageKey, identity: ImageIdentity | undefined): OciDocuments {
    const record = this.oci(key)
    if (record === null || identity === undefined) throw notOci(key)
    return verifiedDocuments(this.#layout, key, record, identity)
  }

  /** Where content of an OCI image lies. What is in it has to be hashed by who uses it. */
  contentPath(digest: Digest): string {
    return contentOf(this.#layout, digest)
  }

  /** A layer's bytes, as the addon takes them. */
  flatLayer({diffId, digest, size}: OciLayer): FlatLayer {
    return {blob: this.contentPath(digest), diffId, limit: inflationLimit(size, this.casDir)}
  }

  /** The key that begins with an image ID of the command line, or the image whose OCI digest does. */
  resolveKey(text: string): ImageKey {
    return resolveKey(this.#layout, text)
  }

  /**
   * The image of that name that carries all of the labels: without a version the latest, else the newest import. Root finds only
   * what is vouched for, unless it asks for the `unvouched` too.
   */
  findByName(name: string, labels: readonly Label[], options: {readonly unvouched?: boolean} = {}): ImageKey {
    return this.findNamed(name, labels, options).key
  }

  /** The same, and by which of its sources the image was found. */
  findNamed(name: string, labels: readonly Label[], options: {readonly unvouched?: boolean} = {}): NamedImage {
    return findByName(this.#layout, name, labels, options)
  }

  /**
   * Whether the caller may take the image for what it says it is, by that source or by any: false for root where others import, until
   * root has vouched.
   */
  isVouched(key: ImageKey, source?: string): boolean {
    if (!needsVouchers(this.#layout)) return true
    const names = readVoucher(this.#layout, key)
    return source === undefined ? names.length > 0 : names.some((name) => name.source === source)
  }

  /**
   * Root takes the image for what it is, by that source or by its newest, and by its content, which is hashed for it. What root imports
   * is vouched for already.
   */
  async vouch(key: ImageKey, source?: string): Promise<void> {
    if (this.isVouched(key, source)) return
    const stated = nameOfSource(this.#sidecar(key).names, source)
    const {labels = [], name} = parseImageManifest(await this.#verified(key, stated.identity), `the manifest of image ${key}`)
    using _lock = await this.lock(key, 'exclusive')
    await vouch(this.#layout, key, {...stated, labels, name})
  }

  has(key: ImageKey): boolean {
    return existsSync(this.#layout.sidecarOf(key))
  }

  manifest(key: ImageKey): ImageManifest {
    return parseImageManifest(this.manifestBytes(key), `the manifest of image ${key}`)
  }

  manifestBytes(key: ImageKey): Buffer {
    const path = this.#layout.manifestOf(key)
    if (!this.has(key)) throw absent(key)
    try {
      return readFileSync(path)
    } catch (error) {
      throw new RktError('RKT_STORE_DAMAGED', `the manifest of image ${key} cannot be read`, {cause: systemError('open', path, error)})
    }
  }

  /**
   * The manifest, of an OCI image the view that it has by that source, as the caller may believe it: root does not go by a copy that
   * others can write.
   */
  async shownManifest(key: ImageKey, source?: string): Promise<Buffer> {
    return this.oci(key) !== null || needsVouchers(this.#layout) ? await this.verifiedManifest(key, source) : this.manifestBytes(key)
  }

  /** The manifest out of the blob, all of which is hashed for it: for who must not believe what group members can write. */
  async verifiedManifest(key: ImageKey, source?: string): Promise<Buffer> {
    return await this.#verified(key, this.oci(key) === null ? undefined : this.#identity(key, source))
  }

  async #verified(key: ImageKey, identity: ImageIdentity | undefined): Promise<Buffer> {
    if (this.oci(key) !== null) return Buffer.from(encodeImageManifest(this.#documents(key, identity).view))
    using _lock = await this.lock(key, 'shared')
    return await verifiedArchiveManifest(this.#layout, key)
  }

  /** The uncompressed tar of an archive; there is none of an OCI image. */
  blobPath(key: ImageKey): string {
    return this.#layout.blobOf(key)
  }

  /** Hex SHA-512 that the blob must have: all 128 digits, or the 64 of the key where no more is known. */
  digest(key: ImageKey): string {
    return this.#sidecar(key).sha512
  }

  info(key: ImageKey): ImageInfo {
    const {id: _, sha512: __, ...rest} = this.#sidecar(key)
    return {
      ...rest,
      ...newestOf(believedNames(this.#layout, key, rest.names)),
      key,
      lastUsed: lastUse(this.#layout, key),
      treeSize: readTreeSize(this.#layout, key),
    }
  }

  /** All images by import time. Answered by the SQLite index. */
  async list(): Promise<ImageInfo[]> {
    if (!existsSync(this.#layout.image)) return []
    const {indexedImages} = await import('./image-index.ts')
    return (await indexedImages(this.#layout)).flatMap((image) => {
      try {
        // last use is the sidecar's own time, which changes without the index
        return [{...image, ...newestOf(believedNames(this.#layout, image.key, image.names)), lastUsed: lastUse(this.#layout, image.key)}]
      } catch (error) {
        // removed since
        if (isAbsent(error)) return []
        throw error
      }
    })
  }

  /** Records that the image was used now. A caller who may not write leaves no trace, which is no failure. */
  touch(key: ImageKey): void {
    touchImage(this.#layout, key)
  }

  /**
   * Whether the image is what its ID says. What was written to since it was hashed is hashed again; damaged content of an OCI image is
   * taken away, so that the next import brings it.
   */
  async isSound(key: ImageKey): Promise<boolean> {
    return await isSound(this.#layout, key)
  }

  /**
   * Refuses an image that is not what its ID says, all of which is hashed for it.
   * @throws RktError RKT_IMAGE_HASH_MISMATCH
   */
  async verify(key: ImageKey): Promise<void> {
    const lock = await this.lock(key, 'shared')
    const damage = await damageOf(this.#layout, this.#sidecar(key)).finally(() => lock.release())
    if (damage === null) return
    await this.distrust(key)
    throw damage
  }

  /** After a failure that says so: the next fetch hashes what is stored, and replaces what is damaged. */
  async distrust(key: ImageKey): Promise<void> {
    await distrust(this.#layout, key)
  }

  /** Records that an archive which the store has came from there too; a caller who may not write leaves no trace. */
  async addSource(key: ImageKey, {latest, source}: Pick<StoredName, 'latest' | 'source'>): Promise<void> {
    const isThere = () => this.info(key).names.some((name) => name.source === source && name.latest === latest)
    if (isThere()) return
    await changeRecord(this.#layout, key, async (sidecar) => {
      const added = {...believedNames(this.#layout, key, sidecar.names)[0], latest, source}
      if (this.isVouched(key)) await vouch(this.#layout, key, added)
      return {...sidecar, names: withName(sidecar.names, added)}
    })
  }

  async remove(key: ImageKey): Promise<void> {
    await removeImage(this.#layout, key)
  }

  /** Takes a name, with all of its labels, from an image that has others; false for the only one, which stays. */
  async removeName(key: ImageKey, name: Pick<StoredName, 'labels' | 'name'>): Promise<boolean> {
    return await removeNameOf(this.#layout, key, name)
  }

  /** Removes what killed processes left. */
  async sweep(): Promise<void> {
    if (existsSync(this.#layout.cas)) await sweep(this.#layout)
  }

  /**
   * What the last download of this URL gave; null when that image is not in the store any more. Root is told of downloads of its
   * own, unless it asks for the `unvouched` too.
   */
  remote(url: string, {unvouched = false}: {readonly unvouched?: boolean} = {}): Remote | null {
    const remote = !unvouched && needsVouchers(this.#layout) ? readVouchedRemote(this.#layout, url) : readRemote(this.#layout, url)
    return remote !== null && this.has(remote.key) ? remote : null
  }

  async putRemote(remote: Remote): Promise<void> {
    this.#prepare()
    await vouchForRemote(this.#layout, remote)
    writeRemote(this.#layout, remote)
    bumpGeneration(this.#layout)
  }

  /** Shared while the blob is read, exclusive while the image is changed. The caller releases it. */
  async lock(key: ImageKey, mode: 'shared' | 'exclusive'): Promise<FileLock> {
    this.#prepare()
    return await lockImage(this.#layout, key, mode)
  }

  /** Records the bytes of the image's rendered tree. */
  setTreeSize(key: ImageKey, bytes: number): void {
    if (!this.has(key)) return
    replaceFile(this.#layout.treesizeOf(key), `${bytes}\n`, this.#layout.tmp)
    bumpGeneration(this.#layout)
  }

  [Symbol.dispose](): void {
    this.#lock?.release()
    this.#lock = null
  }

  /** Where an image of OCI's format comes from, by that source, else by the newest. */
  identity(key: ImageKey, source?: string): ImageIdentity {
    const identity = this.#identity(key, source)
    if (identity === undefined) throw notOci(key)
    return identity
  }

  #identity(key: ImageKey, source: string | undefined): ImageIdentity | undefined {
    return identityOf(this.#layout, key, this.#sidecar(key).names, source)
  }

  #sidecar(key: ImageKey): Sidecar {
    const sidecar = readSidecar(this.#layout, key)
    if (sidecar === null) throw absent(key)
    return sidecar
  }

  /** Makes what is missing of the store. `image` comes first: a store with blobs but without it is one of rkt 1.x. */
  #prepare(): void {
    const {blobs, db, image, imagelocks, manifests, name, remote, tmp, treesize} = this.#layout
    try {
      for (const path of [image, tmp, imagelocks, name, remote, treesize, db, manifests, blobs]) ensureDirectory(path)
    } catch (cause) {
      throw new RktError('RKT_STORE_UNWRITABLE', 'cannot open store', {cause})
    }
    this.#hold()
  }

  #hold(): void {
    this.#lock ??= lockStore(this.casDir, 'shared')
  }
}

export function openStore(casDir: string): Store {
  return new Store(casDir)
}

function absent(key: ImageKey): RktError {
  return new RktError('RKT_IMAGE_NOT_FOUND', `cannot find image with key: ${key}`)
}

function notOci(key: ImageKey): RktError {
  return new RktError('RKT_IMAGE_KIND', `image ${key} is an archive of appc, not an image of OCI's format`)
}

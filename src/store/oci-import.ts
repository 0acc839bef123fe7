import {createHash} from 'node:crypto'
import {closeSync} from 'node:fs'
import type {ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {type FileLock, type IngestedLayer, type LayerRequest, type LayerSink, native, type Outcome, unwrap} from '../native/index.ts'
import {type Digest, digestOf, type ImageIdentity} from '../oci/index.ts'
import {awaitContent, contentOf, hasContent, inflationLimit, lockContents, placeDocument, removeContents} from './contents.ts'
import {placeUnnamed, removeFile, replaceFile} from './files.ts'
import {bumpGeneration} from './generation.ts'
import {type ImageKey, keyOfDigest} from './image-key.ts'
import {placeManifest, placeName} from './import-image.ts'
import {stampsOf} from './integrity.ts'
import {Layers} from './layers.ts'
import type {Layout} from './layout.ts'
import {lockImage} from './locks.ts'
import {withName} from './names.ts'
import {placeOciDigest} from './oci-digests.ts'
import {type OciRecord, readDocuments} from './oci-image.ts'
import {encodeSidecar, readSidecarIfSound} from './sidecar.ts'
import {vouch} from './vouchers.ts'

/** A layer as its descriptor has it; digest and size are null where only the DiffID is known (an archive of `docker save`). */
export interface LayerDescriptor {
  readonly digest: Digest | null
  readonly size: number | null
}

/** What came in. */
export interface StoredLayer {
  readonly digest: Digest
  readonly diffId: Digest
  readonly size: number
}

export interface OciImportRequest {
  readonly manifestBytes: Uint8Array
  /** As the descriptor or the registry called it. */
  readonly mediaType: string | null
  readonly configBytes: Uint8Array
  /** The index through which the manifest was chosen. */
  readonly indexBytes?: Uint8Array | undefined
  readonly identity: ImageIdentity
  readonly latest: boolean
  /** Where the image is distributed: what its record says. */
  readonly source: string
  /** Looks at the image before it becomes visible; what it throws refuses the import. */
  readonly accept?: (manifest: ImageManifest, key: ImageKey) => void | Promise<void>
}

/** Takes a layer's bytes while they come. */
export interface LayerWriter {
  /** Takes bytes; the promise asks to wait until there is room. */
  write(bytes: Uint8Array): Promise<void> | undefined
  /** All came: verifies size, digest and DiffID, and only then names anything. */
  finish(): Promise<StoredLayer>
  /** Nothing of the layer stays. After `finish` it does nothing. */
  abort(): Promise<void>
}

/**
 * The import of one OCI image: its layers first, in any order and at once, then its documents, which make it visible. While it is
 * open no content leaves the store; what a failed one brought is removed with the next removal.
 */
export class OciImport implements AsyncDisposable {
  readonly #layout: Layout
  readonly #layers: Layers
  readonly #lock: FileLock
  readonly #open = new Set<LayerWriter>()
  readonly #brought: Digest[] = []

  static async begin(layout: Layout): Promise<OciImport> {
    return new OciImport(layout, await lockContents(layout))
  }

  private constructor(layout: Layout, lock: FileLock) {
    this.#layout = layout
    this.#layers = new Layers(layout.cas)
    this.#lock = lock
  }

  /**
   * Where the bytes of a layer go, or null when the store has it. While another process brings the same layer this one waits for it,
   * and takes it over should that fail.
   */
  async layer({digest, size}: LayerDescriptor, diffId: Digest): Promise<LayerWriter | null> {
    const isThere = () => digest !== null && size !== null && hasContent(this.#layout, digest, size)
    const lock = digest === null ? undefined : await awaitContent(this.#layout, digest, isThere)
    if (lock === null) return null
    try {
      return await this.#writer({digest, size}, diffId, lock)
    } catch (error) {
      lock?.release()
      throw error
    }
  }

  /** The same out of a descriptor, all of it from its start. */
  async layerFrom(fd: number, descriptor: LayerDescriptor, diffId: Digest): Promise<StoredLayer | null> {
    const {digest, size} = descriptor
    const isThere = () => digest !== null && size !== null && hasContent(this.#layout, digest, size)
    const lock = digest === null ? undefined : await awaitContent(this.#layout, digest, isThere)
    if (lock === null) return null
    const landing = await this.#landing(diffId)
    try {
      const ingested = native().ingestLayer(fd, this.#request(descriptor, diffId, landing))
      return await this.#place(await ingested, landing)
    } finally {
      await landing.close()
      lock?.release()
    }
  }

  /** Makes the image visible, all of whose layers are in the store; answers its key. */
  async commit(request: OciImportRequest): Promise<ImageKey> {
    const {accept, configBytes, identity, indexBytes, latest, manifestBytes, mediaType, source} = request
    const {layers, manifest, view} = readDocuments(manifestBytes, mediaType, configBytes, identity, identity.typed)
    const digest = digestOf(manifestBytes)
    if (identity.manifestDigest !== digest) throw new RktError('RKT_INTERNAL', `the identity of ${identity.typed} is another image's`)
    const configDigest = digestOf(configBytes, manifest.config.digest)
    if (configDigest !== manifest.config.digest) {
      throw new RktError(
        'RKT_IMAGE_HASH_MISMATCH',
        `the config of ${identity.typed} has the digest ${configDigest}, not ${manifest.config.digest}`,
      )
    }
    const missing = layers.find((layer) => !hasContent(this.#layout, layer.digest, layer.size))
    if (missing !== undefined) throw new RktError('RKT_LAYER_MISSING', `layer ${missing.digest} of ${identity.typed} is not in the store`)
    const sha512 = createHash('sha512').update(manifestBytes).digest('hex')
    const key = keyOfDigest(sha512)
    await accept?.(view, key)
    using _lock = await lockImage(this.#layout, key, 'exclusive')
    const old = readSidecarIfSound(this.#layout, key)
    placeDocument(this.#layout, digest, manifestBytes)
    placeDocument(this.#layout, configDigest, configBytes)
    const index = indexBytes === undefined ? undefined : digestOf(indexBytes)
    if (indexBytes !== undefined && index !== undefined) placeDocument(this.#layout, index, indexBytes)
    const oci: OciRecord = {
      config: configDigest,
      ...(index === undefined ? {} : {index}),
      layers,
      manifest: digest,
      mediaType: manifest.mediaType,
    }
    placeManifest(this.#layout, key, view)
    placeName(this.#layout, view.name, key)
    placeOciDigest(this.#layout, digest, key)
    if (old === null) removeFile(this.#layout.treesizeOf(key))
    const size = layers.reduce((sum, layer) => sum + layer.size, manifestBytes.length + configBytes.length)
    const {labels = [], name} = view
    const added = {identity, importTime: new Date(), labels, latest, name, source}
    await vouch(this.#layout, key, added)
    // of layers that were there before, it is known only who hashed them whether they are sound
    const hashed = [digest, configDigest, ...(index === undefined ? [] : [index]), ...this.#brought]
    const stamps = {...old?.stamps, ...stampsOf(hashed.map((each) => contentOf(this.#layout, each)))}
    const sidecar = {id: key, names: withName(old?.oci === undefined ? [] : old.names, added), oci, sha512, size, stamps}
    replaceFile(this.#layout.sidecarOf(key), encodeSidecar(sidecar), this.#layout.tmp)
    bumpGeneration(this.#layout)
    return key
  }

  /** Ends the import; what is still coming in is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const writer of [...this.#open]) await writer.abort()
    this.#lock.release()
    if (this.#brought.length > 0) removeContents(this.#layout, this.#brought)
  }

  async #writer(descriptor: LayerDescriptor, diffId: Digest, lock: FileLock | undefined): Promise<LayerWriter> {
    const landing = await this.#landing(diffId)
    const sink: LayerSink = new (native().LayerSink)()
    let ended: Promise<Outcome<IngestedLayer>> | undefined = sink.ingest(this.#request(descriptor, diffId, landing))
    const close = async () => {
      ended = undefined
      this.#open.delete(writer)
      await landing.close()
      lock?.release()
    }
    const writer: LayerWriter = {
      abort: async () => {
        if (ended === undefined) return
        sink.abort()
        const outcome = await ended
        if (!('failure' in outcome) && outcome.fd !== null) closeSync(outcome.fd)
        await close()
      },
      finish: async () => {
        if (ended === undefined) throw new RktError('RKT_INTERNAL', 'a layer was finished twice')
        sink.end()
        try {
          return await this.#place(await ended, landing)
        } finally {
          await close()
        }
      },
      write: (bytes) => (sink.push(bytes) ? undefined : sink.drained().then(() => undefined)),
    }
    this.#open.add(writer)
    return writer
  }

  #request({digest, size}: LayerDescriptor, diffId: Digest, {rootfs}: Landing): LayerRequest {
    const limit = inflationLimit(size ?? Number.MAX_SAFE_INTEGER, this.#layout.cas)
    return {blobDir: this.#layout.tmp, diffId, digest, limit, rootfs, size}
  }

  async #place(outcome: Outcome<IngestedLayer>, landing: Landing): Promise<StoredLayer> {
    const {diffId, digest, fd, rendered, size} = unwrap(outcome)
    const stored = {diffId, digest, size} as StoredLayer
    if (fd === null) throw new RktError('RKT_INTERNAL', `layer ${digest} was not written`)
    try {
      placeUnnamed(fd, contentOf(this.#layout, stored.digest), this.#layout.tmp)
      this.#brought.push(stored.digest)
    } finally {
      closeSync(fd)
    }
    if (rendered !== null) await landing.keep(rendered)
    return stored
  }

  /** Where the tree of a layer goes: nowhere for who may not render, or when it is rendered, or another process renders it. */
  async #landing(diffId: Digest): Promise<Landing> {
    const nowhere: Landing = {close: async () => undefined, keep: async () => undefined, rootfs: null}
    if (!Layers.allowed || this.#layers.isRendered(diffId)) return nowhere
    const lock = this.#layers.tryLock(diffId)
    if (lock === null) return nowhere
    if (this.#layers.isRendered(diffId)) {
      lock.release()
      return nowhere
    }
    let kept = false
    const landing = {
      close: async () => {
        try {
          if (!kept) await this.#layers.discard(diffId)
        } finally {
          lock.release()
        }
      },
      keep: async (rendered: Parameters<Layers['finish']>[1]) => {
        await this.#layers.finish(diffId, rendered)
        kept = true
      },
    }
    try {
      return {...landing, rootfs: await this.#layers.begin(diffId)}
    } catch (error) {
      await landing.close()
      throw error
    }
  }
}

interface Landing {
  readonly rootfs: string | null
  keep(rendered: Parameters<Layers['finish']>[1]): Promise<void>
  /** Gives the lock back, and removes what was not kept. */
  close(): Promise<void>
}

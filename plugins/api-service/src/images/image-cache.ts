/** All images of the store, in memory, read anew when the store says that it changed. */

import {existsSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {create, toBinary} from '@bufbuild/protobuf'
import {type Engine, type ImageInfo, parseImageManifest} from '@rkt/engine'
import type {FilteredImage} from '../filters.ts'
import {type Image, ImageSchema, ListImagesResponseSchema} from '../generated/v1alpha_pb.js'
import {appcFormat, keyValues, versionOf} from '../pods/pod-facts.ts'
import {Watches} from '../pods/watches.ts'
import {encodeField} from '../server/definition.ts'

export interface CachedImage extends FilteredImage {
  readonly message: Image
  readonly manifest: Buffer
  /** As one field of a list of images, without and with its manifest. */
  readonly encoded: Buffer
  detailed?: Buffer
}

/** Images that came and went. */
export type ImageChange = (imported: readonly CachedImage[], removed: readonly CachedImage[]) => void

/** Writers say that the store changed by writing to this file of it. */
const generation = 'generation'
const restMs = 20

export class ImageCache implements Disposable {
  readonly #open: () => Promise<Engine>
  readonly #changed: ImageChange
  readonly #note: (line: string) => void
  readonly #cas: string
  readonly #watches = new Watches()
  #images: ReadonlyMap<string, CachedImage> = new Map()
  #isStale = true
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined

  constructor(open: () => Promise<Engine>, dataDir: string, note: (line: string) => void, changed: ImageChange) {
    this.#open = open
    this.#cas = join(dataDir, 'cas')
    this.#changed = changed
    this.#note = note
  }

  /** Begins to watch, then reads what is there. Of these first images nobody is told. */
  async start(): Promise<void> {
    this.#watch()
    try {
      await this.#read(() => {})
    } catch (error) {
      // Whoever asks for images is told then.
      this.#note(`images cannot be listed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  /** The images as they are now, by ID. */
  async all(): Promise<ReadonlyMap<string, CachedImage>> {
    // All that the kernel had to tell when the request was read has been taken in by then.
    await new Promise((resolve) => setImmediate(resolve))
    if (!this.#watch()) this.#isStale = true
    while (this.#isStale) await this.#read(this.#changed)
    return this.#images
  }

  /** An image as one field of a list, with its manifest. */
  detailed(image: CachedImage): Buffer {
    image.detailed ??= encodeImage({...image.message, manifest: image.manifest})
    return image.detailed
  }

  /** False when changes of the store are not told. */
  #watch(): boolean {
    if (this.#watches.has('cas')) return true
    if (existsSync(this.#cas)) {
      this.#watches.remove('parent')
      this.#isStale = true
      return this.#watches.add('cas', this.#cas, (entry) => entry === generation && this.#touch())
    }
    // The store is made by the first import.
    return this.#watches.add('parent', dirname(this.#cas), (entry) => {
      if (entry === 'cas' && this.#watch()) this.#touch()
    })
  }

  #touch(): void {
    this.#isStale = true
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#isStale) this.#read(this.#changed).catch((error: unknown) => this.#note(String(error)))
    }, restMs)
  }

  /** Reads the store once, however many ask for it. */
  async #read(changed: ImageChange): Promise<void> {
    this.#reading ??= this.#readAll(changed).finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  async #readAll(changed: ImageChange): Promise<void> {
    this.#isStale = false
    const before = this.#images
    const images = new Map<string, CachedImage>()
    try {
      // Opened for each reading: a store that stays open keeps others from migrating it.
      await using engine = await this.#open()
      for (const info of await engine.store.list()) {
        const image = this.#image(engine, info, before.get(info.key))
        if (image) images.set(info.key, image)
      }
    } catch (error) {
      this.#isStale = true
      throw error
    }
    this.#images = images
    const imported = [...images.values()].filter(({id}) => !before.has(id))
    const removed = [...before.values()].filter(({id}) => !images.has(id))
    if (imported.length > 0 || removed.length > 0) changed(imported, removed)
  }

  /** An image whose manifest cannot be read is left out. */
  #image({store}: Engine, info: ImageInfo, before: CachedImage | undefined): CachedImage | undefined {
    const {importTime, key, names, size, treeSize} = info
    const importTimestamp = BigInt(Math.floor(importTime.getTime() / 1000))
    const total = BigInt(size + treeSize)
    const allNames = [...new Set([info.name, ...names.map(({name}) => name)])]
    if (before && before.message.size === total && before.importTimestamp === importTimestamp && isSame(before.names, allNames))
      return before
    try {
      const manifest = before?.manifest ?? store.manifestBytes(key)
      const parsed = parseImageManifest(manifest, `the manifest of image ${key}`)
      const [annotations, labels] = [keyValues(parsed.annotations), keyValues(parsed.labels)]
      const message = create(ImageSchema, {
        annotations,
        baseFormat: appcFormat(),
        id: key,
        importTimestamp,
        labels,
        name: parsed.name,
        size: total,
        version: versionOf(parsed),
      })
      return {annotations, encoded: encodeImage(message), id: key, importTimestamp, labels, manifest, message, names: allNames}
    } catch (error) {
      this.#note(`unable to load the manifest of image ${key}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#watches[Symbol.dispose]()
  }
}

const encodeImage = (image: Image) => encodeField(ListImagesResponseSchema.field.images.number, toBinary(ImageSchema, image))

const isSame = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((name, index) => name === b[index])

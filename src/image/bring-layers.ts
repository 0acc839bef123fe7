import {closeSync, openSync, statfsSync} from 'node:fs'
import {RktError} from '../errors.ts'
import {native, systemError, unwrap} from '../native/index.ts'
import {type Descriptor, type Digest, layerCompression} from '../oci/index.ts'
import type {OciImport, Store, StoredLayer} from '../store/index.ts'
import {LayerProgress} from './layer-progress.ts'
import type {ProgressOutput} from './progress.ts'

/** A layer that may have to be brought. */
export interface IncomingLayer {
  /** Null where only the DiffID is known, and so is the size where the digest is not. */
  readonly digest: Digest | null
  readonly size: number | null
  readonly diffId: Digest
  /** Its bytes, as they lie or come; they are verified by who takes them. */
  open(signal: AbortSignal): Promise<AsyncIterable<Buffer>>
}

export interface BringOptions {
  readonly store: Store
  /** Told what is worth knowing with `--debug`. */
  readonly say: (message: string) => void
  /** Where transfers are shown; nowhere when it is absent. */
  readonly progress?: ProgressOutput | undefined
}

const atOnce = 4

/**
 * Brings the layers that the store does not have, some at a time, each once; the first that fails ends all others, and is what is
 * thrown. Answers what the store has then, in the order of `layers`.
 */
export async function bringLayers(
  importing: OciImport,
  layers: readonly IncomingLayer[],
  {progress, say, store}: BringOptions,
): Promise<readonly StoredLayer[]> {
  using shown =
    progress === undefined
      ? null
      : new LayerProgress(
          progress,
          layers.map(({size}) => size),
        )
  const abort = new AbortController()
  const brought = new Map<string, StoredLayer>()
  const queue = [...distinct(layers)]
  let failure: unknown
  let pairs: Promise<ReadonlySet<string>> | undefined
  const isKnown = async (layer: StoredLayer) => {
    pairs ??= storedPairs(store)
    return (await pairs).has(identityOf(layer))
  }
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined && !abort.signal.aborted; next = queue.shift()) {
      const [identity, layer] = next
      try {
        brought.set(identity, await bring(importing, layer, {abort: abort.signal, isKnown, say, shown, store}))
      } catch (error) {
        if (!abort.signal.aborted) failure = error
        abort.abort()
      }
    }
  }
  await Promise.all(Array.from({length: Math.min(atOnce, queue.length)}, worker))
  if (failure !== undefined) throw failure
  return layers.map((layer) => brought.get(identityOf(layer)) as StoredLayer)
}

const identityOf = ({diffId, digest}: Pick<IncomingLayer, 'diffId' | 'digest'>): string => `${digest ?? '-'} ${diffId}`

/** One layer each; the same bytes cannot inflate to two things. */
function distinct(layers: readonly IncomingLayer[]): ReadonlyMap<string, IncomingLayer> {
  const diffIds = new Map<Digest, Digest>()
  for (const {diffId, digest} of layers) {
    if (digest === null) continue
    const other = diffIds.get(digest)
    if (other !== undefined && other !== diffId) {
      throw new RktError('RKT_LAYER_DIFF_ID', `layer ${digest} cannot inflate to both ${other} and ${diffId} as the image's config says`)
    }
    diffIds.set(digest, diffId)
  }
  return new Map(layers.map((layer) => [identityOf(layer), layer]))
}

interface Way {
  readonly abort: AbortSignal
  /** Whether some image of the store has these bytes for this DiffID. */
  readonly isKnown: (layer: StoredLayer) => Promise<boolean>
  readonly say: (message: string) => void
  readonly shown: LayerProgress | null
  readonly store: Store
}

async function bring(importing: OciImport, layer: IncomingLayer, {abort, isKnown, say, shown, store}: Way): Promise<StoredLayer> {
  const {diffId, digest, size} = layer
  const writer = await importing.layer({digest, size}, diffId)
  if (writer === null) {
    say(`layer ${digest} is in the store`)
    const stored = {diffId, digest: digest as Digest, size: size as number}
    if (!(await isKnown(stored))) await checkStored(store, stored)
    return stored
  }
  const transfer = shown?.begin(digest ?? diffId, size)
  try {
    for await (const chunk of await layer.open(abort)) {
      abort.throwIfAborted()
      transfer?.advance(chunk.length)
      const room = writer.write(chunk)
      if (room !== undefined) await room
    }
    const stored = await writer.finish()
    transfer?.end('complete')
    return stored
  } catch (error) {
    transfer?.end('failed')
    throw error
  } finally {
    await writer.abort()
  }
}

/** Which bytes the images of the store have for which DiffIDs. */
async function storedPairs(store: Store): Promise<ReadonlySet<string>> {
  const images = (await store.list()).filter(({key}) => store.has(key))
  return new Set(images.flatMap(({key}) => store.oci(key)?.layers.map(identityOf) ?? []))
}

/** The bytes are right, but that they inflate to what this image says was never looked at. */
async function checkStored(store: Store, {diffId, digest, size}: StoredLayer): Promise<void> {
  const {blob, limit} = store.flatLayer({diffId, digest, mediaType: '', size})
  let fd: number
  try {
    fd = openSync(blob, 'r')
  } catch (error) {
    throw new RktError('RKT_STORE_DAMAGED', `layer ${digest} of the store cannot be read`, {cause: systemError('open', blob, error)})
  }
  try {
    unwrap(await native().ingestLayer(fd, {blobDir: null, diffId, digest, limit, rootfs: null, size}))
  } finally {
    closeSync(fd)
  }
}

/** Refuses a manifest that has something else than layers that can be unpacked, or none at all. */
export function checkLayers(layers: readonly Pick<Descriptor, 'digest' | 'mediaType'>[], shown: string): void {
  if (layers.length === 0) {
    throw new RktError('RKT_OCI_NO_IMAGE', `${shown} is no image that can run`, {
      cause: new Error('backend image had no useful layers: not creating ACI'),
    })
  }
  for (const {digest, mediaType} of layers) {
    if (layerCompression(mediaType) !== null) continue
    const encrypted = mediaType.endsWith('+encrypted')
    throw new RktError('RKT_OCI_LAYER_TYPE', `layer ${digest} of ${shown} cannot be unpacked`, {
      cause: new Error(`it is ${encrypted ? 'encrypted' : `of the type ${JSON.stringify(mediaType.slice(0, 200))}`}`),
      hint: encrypted ? 'Decrypt the image first, with "skopeo copy --decryption-key" for example.' : undefined,
    })
  }
}

/** Refuses at once what the file system cannot hold. Of layers that the store has, too much is counted rather than too little. */
export function checkRoom(layers: readonly {readonly size: number | null}[], directory: string): void {
  const {bavail, bsize} = statfsSync(directory)
  const bytes = layers.reduce((sum, {size}) => sum + (size ?? 0), 0)
  if (bytes <= bavail * bsize) return
  throw new RktError('RKT_FETCH_TOO_LARGE', `there is no room for the download in ${directory}`, {
    cause: new Error('no space left on device'),
    hint: 'Remove images with "rkt image gc" or "rkt image rm", or use another data directory.',
  })
}

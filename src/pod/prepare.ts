import {chownSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {encodeImageManifest, encodePodManifest, type ImageManifest, type PodManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {type IdRange, native, unwrap} from '../native/index.ts'
import {checkPropagation} from '../stage1/index.ts'
import type {ImageKey, NamedImage} from '../store/index.ts'
import type {TreeId} from '../treestore/index.ts'
import type {PodEngine} from './engine-slice.ts'
import {makeDirectories, makeDirectory, writeNew} from './files.ts'
import type {HeldPod} from './held-pod.ts'
import {allocateIds} from './id-range.ts'
import {isMutable} from './manifest.ts'
import {appInfo, appManifest, appTreeId, podFiles, stage2} from './paths.ts'
import {prepareLock} from './prepare-lock.ts'
import type {PreparedApp, PreparedPod} from './prepared-pod.ts'

/** A pod manifest as a value, or as the text of a file that is kept to the letter. */
export interface ManifestSource {
  readonly manifest: PodManifest
  readonly text?: Uint8Array | undefined
}

/** An image that is to be part of a pod. */
export interface FoundImage {
  readonly key: ImageKey
  readonly manifest: ImageManifest
}

export interface PrepareRequest {
  readonly stage1: ImageKey
  readonly overlay: boolean
  /** The pod gets ids of its own. */
  readonly privateUsers: boolean
  /** The images of the pod, in the order of its apps. */
  readonly images: readonly NamedImage[]
  /** Makes the pod manifest of the images. */
  readonly manifest: (images: readonly FoundImage[]) => ManifestSource
  /** Called with the UUID before anything else happens to the pod. */
  readonly created?: (pod: {readonly uuid: string}) => void
}

export interface ReadyImage extends FoundImage {
  readonly bytes: Uint8Array
  readonly tree?: TreeId | undefined
}

/**
 * Prepares a pod: everything is rendered and decided first, then its directory is written in `prepare`, where nobody sees it as
 * more than `preparing`. The pod is answered with its lock held. Of one that cannot be prepared nothing stays.
 */
export async function preparePod(
  engine: PodEngine,
  request: PrepareRequest,
): Promise<{readonly pod: HeldPod<'prepare'>; readonly prepared: PreparedPod}> {
  using _lock = await prepareLock(engine.dataDir, 'shared')
  const {debug} = engine.diagnostics
  debug('stage0', 'Preparing stage1')
  const stage1 = await renderedImage(engine, {key: request.stage1})
  const images: ReadyImage[] = []
  for (const image of request.images) {
    debug('stage0', `Loading image ${image.key}`)
    images.push(request.overlay ? await renderedImage(engine, image) : await storedImage(engine, image))
  }
  const source = request.manifest(images)
  if (source.manifest.apps.length === 0 && !isMutable(source.manifest))
    throw new RktError('RKT_POD_MANIFEST', 'pod must contain at least one application')

  checkPropagation(stage1.manifest, source.manifest)

  const pod = engine.pods.create()
  return await orRemoved(engine, pod, async () => {
    request.created?.(pod)
    const ids = request.privateUsers ? await allocateIds(engine, pod) : undefined
    writeStage1(pod, stage1)
    const tree = stage1.tree
    if (!request.overlay) await copyStage1(engine, pod, tree, ids)
    makeDirectory(join(pod.path, 'appsinfo'), 0o750)
    const apps: PreparedApp[] = []
    for (const [index, {name}] of source.manifest.apps.entries()) {
      const image = images[index]
      if (!image) throw new RktError('RKT_INTERNAL', `app "${name}" has no image`)
      debug('stage0', 'Writing image manifest')
      writeApp(pod, name, image)
      if (!request.overlay) await renderApp(engine, pod, name, image, ids)
      apps.push({manifest: image.bytes, name, tree: image.tree})
    }
    debug('stage0', 'Writing pod manifest')
    writeNew(join(pod.path, podFiles.manifestLock), '', 0o600)
    writeNew(join(pod.path, podFiles.manifest), source.text ?? encodePodManifest(source.manifest), 0o640)
    writeNew(join(pod.path, podFiles.created), '', 0o640)
    if (request.overlay) writeNew(join(pod.path, podFiles.overlayMarker), '', 0o644)
    return {pod, prepared: {apps, ids, overlay: request.overlay, stage1: {manifest: stage1.manifest, tree}}}
  })
}

/** Puts a prepared pod where `run-prepared` finds it, all of it on the disk. */
export async function finishPrepare(engine: PodEngine, pod: HeldPod<'prepare'>): Promise<void> {
  await orRemoved(engine, pod, async () => {
    await sync(pod)
    try {
      pod.moveTo('prepared').release()
    } catch (cause) {
      throw new RktError('RKT_POD_TRANSITION', 'error transitioning to prepared', {cause})
    }
  })
}

async function sync(pod: HeldPod<'prepare'>): Promise<void> {
  try {
    unwrap(await native().syncFilesystem(pod.path))
  } catch (cause) {
    throw new RktError('RKT_POD_SYNC', 'error syncing pod data', {cause})
  }
}

/** Does something to a pod that is being prepared; when it fails, the pod is gone. */
export async function orRemoved<T>(engine: Pick<PodEngine, 'diagnostics'>, pod: HeldPod<'prepare'>, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    try {
      const garbage = pod.moveTo('garbage', {durable: false})
      unwrap(await native().removeTree(garbage.path))
    } catch (leftover) {
      // What is left lies in garbage or prepare without a lock: "rkt gc" takes it. The first failure is the one that counts.
      engine.diagnostics.debug('stage0', `unable to remove pod "${pod.uuid}": ${String(leftover)}`)
    }
    pod.release()
    throw error
  }
}

/** An image with its tree in the treestore, whose manifest was taken from the hashed blob. */
export async function renderedImage(engine: PodEngine, image: NamedImage): Promise<ReadyImage & {readonly tree: TreeId}> {
  const {store, treestore} = engine
  const {key} = image
  const tree = await treestore.render(key)
  // what an image of OCI's format is called depends on who asks
  if (store.oci(key) !== null) return {...(await storedImage(engine, image)), tree}
  const {bytes, manifest} = readManifest(treestore.manifestPath(tree))
  return {bytes, key, manifest, tree}
}

/** An image that is rendered into the pod itself; its manifest comes from the hashed blob as well. */
export async function storedImage({store}: PodEngine, {key, source}: NamedImage): Promise<ReadyImage> {
  const manifest = parseImageManifest(await store.verifiedManifest(key, source), `the manifest of image ${key}`)
  return {bytes: Buffer.from(encodeImageManifest(manifest)), key, manifest}
}

function readManifest(path: string): {bytes: Buffer; manifest: ImageManifest} {
  const bytes = readFileSync(path)
  return {bytes, manifest: parseImageManifest(bytes, path)}
}

function writeStage1(pod: HeldPod<'prepare'>, {bytes, tree}: ReadyImage & {readonly tree: TreeId}): void {
  makeDirectory(join(pod.path, 'stage1'), 0o750)
  writeNew(join(pod.path, podFiles.stage1Manifest), bytes, 0o640)
  writeNew(join(pod.path, podFiles.stage1TreeId), tree, 0o640)
}

function writeApp(pod: HeldPod<'prepare'>, name: string, {bytes, tree}: ReadyImage): void {
  makeDirectory(join(pod.path, appInfo(name)), 0o750)
  if (tree !== undefined) writeNew(join(pod.path, appTreeId(name)), tree, 0o640)
  writeNew(join(pod.path, appManifest(name)), bytes, 0o640)
}

async function copyStage1({treestore}: PodEngine, pod: HeldPod<'prepare'>, tree: TreeId, shift: IdRange | undefined): Promise<void> {
  unwrap(await native().copyTree(treestore.rootfsPath(tree), join(pod.path, podFiles.stage1Rootfs), shift ?? null))
}

async function renderApp(
  {treestore}: PodEngine,
  pod: HeldPod<'prepare'>,
  name: string,
  {bytes, key}: ReadyImage,
  shift: IdRange | undefined,
): Promise<void> {
  const directory = join(pod.path, podFiles.stage1Rootfs, stage2(name))
  makeDirectories(join(directory, 'rootfs'), 0o755)
  writeNew(join(directory, 'manifest'), bytes, 0o644)
  if (shift) for (const path of [directory, join(directory, 'manifest')]) chownSync(path, shift.base, shift.base)
  await treestore.renderInto(key, join(directory, 'rootfs'), {shift: shift ?? null})
}

/** What `run` and `prepare` have in common: from words to a prepared pod. */

import {type ImageManifest, unknownIsolators} from '../appc/index.ts'
import {type FlagValues, type ImageFlagValues, packageVersion} from '../cli/index.ts'
import type {Engine} from '../engine/index.ts'
import {RktError} from '../errors.ts'
import {
  type AppOverrides,
  checkManifestFile,
  checkMounts,
  explain,
  generatePodManifest,
  type HeldPod,
  imagesOf,
  type ManifestSource,
  overlayProblem,
  type PreparedPod,
  type PrepareRequest,
  preparePod,
  readManifestFile,
} from '../pod/index.ts'
import {selectStage1} from '../stage1/index.ts'
import type {ImageKey} from '../store/index.ts'
import {appOverrides, imageFlags} from './_image-options.ts'
import {environmentRequest, preparationFlags, pullFlags, pullPolicy, refusePrivateUsers, stage1Choice, stage1Flags} from './_pod-options.ts'

export const podFlags = {...stage1Flags, ...pullFlags, ...preparationFlags, ...imageFlags}

export interface PodImage {
  readonly args: readonly string[]
  readonly flags: ImageFlagValues<typeof imageFlags>
  readonly reference: string
}

type PodFlags = FlagValues<typeof podFlags>

/** Every mount names a volume of the command line. */
export function checkAllMounts(flags: PodFlags, images: readonly PodImage[]): void {
  try {
    checkMounts([...flags.mount, ...images.flatMap((image) => image.flags.mount)], flags.volume)
  } catch (cause) {
    throw explain('error parsing app image arguments', cause)
  }
}

/** A pod manifest says everything itself. */
export function checkManifestConflicts(flags: PodFlags, images: readonly PodImage[]): void {
  if (flags['pod-manifest'] === undefined) return
  const lists = [images, flags.volume, flags.mount, flags.port, flags['set-env'], flags['set-env-file']]
  if (lists.some((list) => list.length > 0) || pullPolicy(flags) !== 'new' || flags['inherit-env'])
    throw new RktError('RKT_BAD_ARGUMENTS', 'conflicting flags set with --pod-manifest (see --help)')
}

export function checkPrivateUsers(flags: PodFlags): void {
  refusePrivateUsers(flags['private-users'])
}

export function requireImages(flags: PodFlags, images: readonly PodImage[]): void {
  if (images.length === 0 && flags['pod-manifest'] === undefined)
    throw new RktError('RKT_BAD_ARGUMENTS', 'must provide at least one image or specify the pod manifest')
}

export interface PreparationOptions {
  readonly created?: (pod: {readonly uuid: string}) => void
  /** The outer sentence where an image cannot be had. */
  readonly imageFailure?: string
  /** A line on stderr behind the command's prefix. */
  readonly note: (line: string) => void
}

/** Finds stage1 and the images, and prepares the pod, which is answered with its lock held. */
export async function prepareImages(
  engine: Engine,
  flags: PodFlags,
  images: readonly PodImage[],
  {created, imageFailure, note}: PreparationOptions,
): Promise<{readonly pod: HeldPod<'prepare'>; readonly prepared: PreparedPod}> {
  const environment = environmentRequest(flags)
  const stage1 = await selectStage1(engine, stage1Choice(flags))
  const path = flags['pod-manifest']
  let source: Pick<PrepareRequest, 'images' | 'manifest'>
  if (path === undefined) {
    const keys = await findImages(engine, flags, images, imageFailure)
    const overrides = images.map(({args, flags: own}) => appOverrides(own, args))
    source = {images: keys, manifest: (manifests) => generated(manifests, keys, overrides, environment, flags, note)}
  } else {
    const file = readManifestFile(path)
    source = {
      images: imagesOf(file.manifest, engine.store),
      manifest(manifests) {
        checkManifestFile(file.manifest, manifests)
        return file
      },
    }
  }
  const overlay = !flags['no-overlay'] && hasOverlay(engine, note)
  try {
    return await preparePod(engine, {...source, overlay, stage1, ...(created && {created})})
  } catch (cause) {
    throw explain('error setting up stage0', cause)
  }
}

async function findImages(engine: Engine, flags: PodFlags, images: readonly PodImage[], failure: string | undefined): Promise<ImageKey[]> {
  const {findImage} = await import('../image/index.ts')
  const keys: ImageKey[] = []
  for (const {flags: own, reference} of images) {
    try {
      keys.push(
        await findImage(engine, reference, {
          dependencies: true,
          insecure: engine.options.insecure,
          pullPolicy: pullPolicy(flags),
          // Preparation renders what the pod needs, where it needs it.
          render: false,
          signature: own.signature,
        }),
      )
    } catch (cause) {
      throw failure === undefined ? cause : explain(failure, cause)
    }
  }
  return keys
}

function generated(
  manifests: readonly ImageManifest[],
  keys: readonly ImageKey[],
  overrides: readonly AppOverrides[],
  environment: ReturnType<typeof environmentRequest>,
  flags: PodFlags,
  note: (line: string) => void,
): ManifestSource {
  const apps = manifests.map((manifest, index) => {
    const [image, own] = [keys[index], overrides[index]]
    if (!image || !own) throw new RktError('RKT_INTERNAL', `there is no image ${index}`)
    return {image, manifest, overrides: own}
  })
  const manifest = generatePodManifest({
    apps,
    caller: {gid: process.getgid?.() ?? 0, uid: process.getuid?.() ?? 0},
    environment,
    mounts: flags.mount,
    ports: flags.port,
    version: packageVersion(),
    volumes: flags.volume,
  })
  for (const name of unknownIsolators(manifest)) note(`warning: unknown isolator "${name}" is ignored`)
  return {manifest}
}

function hasOverlay(engine: Engine, note: (line: string) => void): boolean {
  const problem = overlayProblem(engine)
  if (problem !== null) note(`disabling overlay support: ${JSON.stringify(problem)}`)
  return problem === null
}

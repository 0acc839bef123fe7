/** What `run` and `prepare` have in common: from words to a prepared pod. */

import {type PodManifest, unknownIsolators} from '../appc/index.ts'
import {type FlagValues, type ImageFlagValues, packageVersion} from '../cli/index.ts'
import type {Engine} from '../engine/index.ts'
import {asRktError, RktError} from '../errors.ts'
import {
  appOverrides,
  environmentRequest,
  imageFlags,
  preparationFlags,
  pullFlags,
  pullPolicy,
  requireUserNamespaces,
  stage1Choice,
  stage1Flags,
} from '../options/index.ts'
import {
  checkManifestFile,
  checkMounts,
  explain,
  type FoundImage,
  generatePodManifest,
  type HeldPod,
  idMapProblem,
  imagesOf,
  overlayProblem,
  type PreparedPod,
  type PrepareRequest,
  preparePod,
  readManifestFile,
} from '../pod/index.ts'
import {selectStage1} from '../stage1/index.ts'
import type {NamedImage} from '../store/index.ts'

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
  if (flags['private-users']) requireUserNamespaces()
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
  /** Downloads are not shown. */
  readonly quiet?: boolean
}

/** Finds stage1 and the images, and prepares the pod, which is answered with its lock held. */
export async function prepareImages(
  engine: Engine,
  flags: PodFlags,
  images: readonly PodImage[],
  {created, imageFailure, note, quiet = false}: PreparationOptions,
): Promise<{readonly pod: HeldPod<'prepare'>; readonly prepared: PreparedPod}> {
  const stage1 = await selectStage1(engine, stage1Choice(flags))
  const progress = quiet ? undefined : process.stderr
  const source = await manifestSource(engine, flags, images, {failure: imageFailure, progress})
  const privateUsers = flags['private-users']
  const overlay = !flags['no-overlay'] && hasOverlay(engine, privateUsers, note)
  try {
    return await preparePod(engine, {
      ...source,
      manifest(found) {
        const made = source.manifest(found)
        for (const name of unknownIsolators(made.manifest)) note(`warning: unknown isolator "${name}" is ignored`)
        return made
      },
      overlay,
      privateUsers,
      stage1,
      ...(created && {created}),
    })
  } catch (cause) {
    throw explain('error setting up stage0', cause)
  }
}

/** The images of the pod, and how its manifest is made of theirs: by the command line, or by somebody before. */
async function manifestSource(
  engine: Engine,
  flags: PodFlags,
  images: readonly PodImage[],
  options: FindOptions,
): Promise<Pick<PrepareRequest, 'images' | 'manifest'>> {
  const path = flags['pod-manifest']
  if (path === undefined) {
    return {images: await findImages(engine, flags, images, options), manifest: (found) => ({manifest: manifestFor(flags, images, found)})}
  }
  const file = readManifestFile(path)
  return {
    images: imagesOf(file.manifest, engine.store).map((key) => ({key})),
    manifest(found) {
      checkManifestFile(file.manifest, found)
      return file
    },
  }
}

interface FindOptions {
  readonly failure: string | undefined
  readonly progress: NodeJS.WriteStream | undefined
}

async function findImages(
  engine: Engine,
  flags: PodFlags,
  images: readonly PodImage[],
  {failure, progress}: FindOptions,
): Promise<NamedImage[]> {
  const {findNamedImage} = await import('../image/index.ts')
  const found: NamedImage[] = []
  for (const [index, {flags: own, reference}] of images.entries()) {
    try {
      found.push(
        await findNamedImage(engine, reference, {
          dependencies: true,
          insecure: engine.options.insecure,
          progress,
          pullPolicy: pullPolicy(flags),
          // Preparation renders what the pod needs, where it needs it.
          render: false,
          signature: own.signature,
        }),
      )
    } catch (error) {
      const cause = index > 0 && images[index - 1]?.args.length === 0 ? withoutDashes(reference, error) : error
      throw failure === undefined ? cause : explain(failure, cause)
    }
  }
  return found
}

/** What stands behind an image and is none may be meant as an argument of its app. */
function withoutDashes(reference: string, error: unknown): unknown {
  const {cause, code, exitCode, message} = asRktError(error)
  if (code !== 'RKT_DISCOVERY_FAILED' && code !== 'RKT_BAD_IMAGE_REFERENCE') return error
  const hint = `If ${JSON.stringify(reference)} is an argument of the app before it, write "--" between them.`
  return new RktError(code, message, {cause, exitCode, hint})
}

/** The manifest of a pod of these images, as the words behind each change them. */
export function manifestFor(flags: PodFlags, images: readonly PodImage[], found: readonly FoundImage[]): PodManifest {
  const apps = images.map(({args, flags: own}, index) => {
    const image = found[index]
    if (!image) throw new RktError('RKT_INTERNAL', `there is no image ${index}`)
    return {image: image.key, manifest: image.manifest, overrides: appOverrides(own, args)}
  })
  return generatePodManifest({
    apps,
    caller: {gid: process.getgid?.() ?? 0, uid: process.getuid?.() ?? 0},
    environment: environmentRequest(flags),
    mounts: flags.mount,
    ports: flags.port,
    version: packageVersion(),
    volumes: flags.volume,
  })
}

function hasOverlay(engine: Engine, privateUsers: boolean, note: (line: string) => void): boolean {
  const problem = overlayProblem(engine) ?? (privateUsers ? idMapProblem(engine) : null)
  if (problem !== null) note(`disabling overlay support: ${JSON.stringify(problem)}`)
  return problem === null
}

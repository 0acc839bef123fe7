import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {callerEnvironment} from '../native/index.ts'
import {
  crossingEnvironment,
  type EntrypointCall,
  type EntrypointEnd,
  type EntrypointName,
  entrypointPath,
  findEntrypoint,
  runEntrypoint,
} from '../stage1/index.ts'
import {PodContents} from './contents.ts'
import type {PodEngine} from './engine-slice.ts'
import {podLeader} from './leader.ts'
import type {Pod} from './pods.ts'

/**
 * Runs an entrypoint that crosses into a running pod, and answers how it ended. What runs as root on the host, and the `enter` that it is
 * told of, come from the treestore: the pod can write to its own copy of stage1.
 */
export async function cross(
  {pods, treestore}: Pick<PodEngine, 'pods' | 'treestore'>,
  pod: Pod<'running'>,
  name: EntrypointName,
  words: readonly string[],
  streams: Pick<EntrypointCall, 'stdin' | 'stdout' | 'stderr'>,
): Promise<EntrypointEnd> {
  const contents = new PodContents(pod)
  const manifest = contents.stage1Manifest()
  try {
    entrypointPath(manifest, name)
  } catch (cause) {
    throw new RktError('RKT_STAGE1_ENTRYPOINT', `"${name}" not implemented for pod's stage1`, {cause})
  }
  const rootfs = treestore.rootfsPath(contents.stage1TreeId())
  const entrypoint = findEntrypoint(manifest, name, rootfs)
  const enter = join(rootfs, findEntrypoint(manifest, 'enter', rootfs).relative)
  const pid = await podLeader(pods, pod)
  const environment = crossingEnvironment({enter, path: callerEnvironment().PATH, pid})
  return await runEntrypoint({arguments: words, cwd: pod.path, entrypoint, environment, rootfs, ...streams})
}

/** What an entrypoint that failed is reported as. */
export function crossingFailure({failure}: EntrypointEnd): RktError | undefined {
  if (failure === undefined) return undefined
  return new RktError('RKT_STAGE1_ENTRYPOINT_FAILED', 'error executing stage1 entrypoint', {cause: new Error(failure)})
}

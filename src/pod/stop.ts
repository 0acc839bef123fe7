import {RktError} from '../errors.ts'
import {callEntrypoint, entrypointPath, findEntrypoint, stopArguments} from '../stage1/index.ts'
import {PodContents} from './contents.ts'
import type {PodEngine} from './engine-slice.ts'
import type {Pod} from './pods.ts'

/** Asks a running pod to end, or kills it with `force`. Its end is not waited for. */
export async function stopPod({treestore}: Pick<PodEngine, 'treestore'>, pod: Pod<'running'>, {force}: {force: boolean}): Promise<void> {
  const contents = new PodContents(pod)
  const manifest = contents.stage1Manifest()
  try {
    entrypointPath(manifest, 'stop')
  } catch (cause) {
    throw new RktError('RKT_STAGE1_ENTRYPOINT', "rkt stop not implemented for pod's stage1", {cause})
  }
  // The pod can write to its own copy of stage1; what runs as root on the host comes from the treestore.
  const rootfs = treestore.rootfsPath(contents.stage1TreeId())
  const entrypoint = findEntrypoint(manifest, 'stop', rootfs)
  await callEntrypoint({arguments: stopArguments({force, uuid: pod.uuid}), cwd: pod.path, entrypoint, rootfs, stdout: 'inherit'})
}

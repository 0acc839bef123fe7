import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {become, callerEnvironment} from '../native/index.ts'
import {enterArguments, findEntrypoint} from '../stage1/index.ts'
import {PodContents} from './contents.ts'
import type {PodEngine} from './engine-slice.ts'
import {podLeader} from './leader.ts'
import type {Pod} from './pods.ts'

/** Becomes a command inside an app of a running pod. Never returns. */
export async function enterPod(
  {pods, treestore}: Pick<PodEngine, 'pods' | 'treestore'>,
  pod: Pod<'running'>,
  {app, command}: {readonly app: string; readonly command: readonly string[]},
): Promise<never> {
  let pid: number
  try {
    pid = await podLeader(pods, pod)
  } catch (cause) {
    throw new RktError('RKT_POD_LEADER', `unable to determine the pid for pod "${pod.uuid}"`, {cause})
  }
  const contents = new PodContents(pod)
  const rootfs = treestore.rootfsPath(contents.stage1TreeId())
  const {named, relative} = findEntrypoint(contents.stage1Manifest(), 'enter', rootfs)
  return become({
    argv: [join(rootfs, named), ...enterArguments({app, command, pid})],
    cwd: pod.path,
    env: callerEnvironment(),
    keepFds: [],
    path: join(rootfs, relative),
  })
}

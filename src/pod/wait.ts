import {setTimeout as sleep} from 'node:timers/promises'
import {RktError} from '../errors.ts'
import {PodContents} from './contents.ts'
import type {Pod, Pods} from './pods.ts'
import {isFinished} from './state.ts'
import type {PodUuid} from './uuid.ts'

const pollMs = 100

/** Waits until nothing more happens to the pod, or until `timeoutMs` are over (undefined: forever). */
export async function waitUntilFinished(pods: Pods, uuid: PodUuid, timeoutMs: number | undefined): Promise<Pod | undefined> {
  return await poll(pods, uuid, timeoutMs, 'error waiting for pod to finish', (pod) => isFinished(pod.state))
}

/** Waits until the supervisor of the pod says that it is up. */
export async function waitUntilReady(pods: Pods, uuid: PodUuid, timeoutMs: number | undefined): Promise<Pod | undefined> {
  return await poll(pods, uuid, timeoutMs, 'error waiting for pod readiness', (pod) => {
    if (pod.state === 'running') return new PodContents(pod).isSupervisorReady()
    // It was ready, or it never will be.
    return isFinished(pod.state)
  })
}

/** A pod that is gone is a pod to which nothing more happens. */
async function poll(
  pods: Pods,
  uuid: PodUuid,
  timeoutMs: number | undefined,
  message: string,
  done: (pod: Pod) => boolean,
): Promise<Pod | undefined> {
  const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs
  for (;;) {
    const pod = pods.inspect(uuid)
    if (pod === undefined || done(pod)) return pod
    const left = deadline - performance.now()
    if (left <= 0) throw new RktError('RKT_POD_WAIT', message, {cause: new Error('context deadline exceeded')})
    await sleep(Math.min(pollMs, left))
  }
}

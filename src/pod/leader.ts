import {readdirSync, readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import {RktError} from '../errors.ts'
import {readIfPresent} from './absent.ts'
import {PodContents} from './contents.ts'
import type {Pod, Pods} from './pods.ts'

const pollMs = 100

/** The pid, as the host counts, of the pod's pid 1. A pod that has just started may not have one yet. */
export async function podLeader(pods: Pods, {uuid}: Pod<'running'>): Promise<number> {
  for (;;) {
    const pod = pods.inspect(uuid)
    if (pod?.state !== 'running') throw new RktError('RKT_POD_NOT_RUNNING', `pod ${uuid} is not running anymore`)
    const contents = new PodContents(pod)
    const own = contents.ownPid()
    if (own !== undefined) return own
    const ppid = contents.ppid()
    const child = ppid === undefined ? undefined : onlyChild(ppid)
    if (child !== undefined) return child
    await sleep(pollMs)
  }
}

function onlyChild(ppid: number): number | undefined {
  const children = childrenOf(ppid)
  if (children.length > 1) throw new RktError('RKT_POD_LEADER', `too many children of pid ${ppid}`)
  return children[0]
}

export function childrenOf(ppid: number): number[] {
  const listed = readIfPresent(`/proc/${ppid}/task/${ppid}/children`)
  if (listed !== undefined) return listed.toString('latin1').trim().split(/\s+/).filter(Boolean).map(Number)
  // A kernel without CONFIG_PROC_CHILDREN.
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === ppid)
    .map(Number)
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name may hold blanks and parentheses; the fields behind its end cannot.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    // The process ended while we looked.
    return undefined
  }
}

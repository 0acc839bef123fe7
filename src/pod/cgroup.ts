import {readIfPresent} from './absent.ts'
import type {PodContents} from './contents.ts'
import {childrenOf} from './leader.ts'

/** The cgroup of a running pod: what stage1 recorded, else where its pid 1 is, as the init system names it. */
export function podCgroup(contents: PodContents): string | undefined {
  const recorded = contents.subcgroup()
  if (recorded) return recorded.startsWith('/') ? recorded : `/${recorded}`
  const ppid = contents.ppid()
  const pid = contents.ownPid() ?? (ppid === undefined ? undefined : childrenOf(ppid)[0])
  const lines = pid === undefined ? undefined : readIfPresent(`/proc/${pid}/cgroup`)?.toString().split('\n')
  const own = lines?.find((line) => /^\d+:name=systemd:/.test(line)) ?? lines?.find((line) => line.startsWith('0::'))
  return own
    ?.split(':')
    .slice(2)
    .join(':')
    .replace(/\/init\.scope$/, '')
}

import {RktError} from '../errors.ts'

/** The first descriptor that an init system hands over (sd_listen_fds(3)). */
const first = 3
const most = 1024

/**
 * The sockets that an init system handed to this process; undefined when it handed over none. The variables that say so are taken out
 * of the environment: no child of ours is meant by them.
 */
export function takeListenFds(env: NodeJS.ProcessEnv = process.env): readonly number[] | undefined {
  const {LISTEN_FDS: count, LISTEN_PID: pid} = env
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete env[name]
  // Meant for another process, whose environment we inherited.
  if (count === undefined || (pid !== undefined && Number(pid) !== process.pid)) return undefined
  const reason = /^[+-]?\d{1,9}$/.test(count) ? undefined : `${JSON.stringify(count)} is not a number`
  if (reason !== undefined || Number(count) > most) {
    throw new RktError('RKT_LISTEN_FDS', 'error parsing LISTEN_FDS env var', {cause: new Error(reason ?? `${count} sockets are too many`)})
  }
  return Array.from({length: Math.max(0, Number(count))}, (_, index) => first + index)
}

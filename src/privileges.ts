/**
 * Whose data this process works on, and with whose rights. The launcher decides it before Node starts (crates/launcher, RKT_LAUNCH): an
 * ordinary user has data of their own, and is root in a user namespace for the commands that need it. Knows nothing else of rkt.
 */

import {homedir} from 'node:os'
import {join} from 'node:path'

/** `system`: the system's data; `own`: an ordinary user's; `namespace`: the same, as root in a user namespace. */
export type Scope = 'system' | 'own' | 'namespace'

/** Without a launcher the system's data it is, with whatever rights there are. */
export function scope(launch: string | undefined = process.env.RKT_LAUNCH): Scope {
  const letter = launch
    ?.split(';')
    .find((field) => field.startsWith('o='))
    ?.slice(2)
  if (letter === 'n') return 'namespace'
  return letter === 'o' ? 'own' : 'system'
}

/** Root of the system, who must not believe what others could have written. Root of a user namespace is an ordinary user. */
export const isSystemRoot = (): boolean => process.geteuid?.() === 0 && scope() !== 'namespace'

/** Where configuration, data and sockets lie when nobody says otherwise. */
export interface DefaultDirectories {
  readonly data: string
  readonly localConfig: string
  readonly runtime: string
}

/** An ordinary user's are those of the XDG Base Directory Specification; a variable that is no absolute path counts for nothing. */
export function defaultDirectories(of: Scope = scope(), environment: NodeJS.ProcessEnv = process.env): DefaultDirectories {
  if (of === 'system') return {data: '/var/lib/rkt', localConfig: '/etc/rkt', runtime: '/run/rkt'}
  const directory = (variable: string, otherwise: string) => {
    const named = environment[variable]
    return join(named?.startsWith('/') ? named : join(homedir(), otherwise), 'rkt')
  }
  return {
    data: directory('XDG_DATA_HOME', '.local/share'),
    localConfig: directory('XDG_CONFIG_HOME', '.config'),
    // Without a directory that ends with the session, one that is not shared with others.
    runtime: directory('XDG_RUNTIME_DIR', '.local/share/rkt/run'),
  }
}

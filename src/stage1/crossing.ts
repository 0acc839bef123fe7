/** What an entrypoint that crosses into a running pod finds in its environment, and nothing else (stage1 ABI). */
export interface Crossing {
  /** The entrypoint `enter`, of a tree that the pod cannot write. */
  readonly enter: string
  /** Pid 1 of the pod, as the host counts. */
  readonly pid: number
  /** The caller's search path. */
  readonly path: string | undefined
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function crossingEnvironment({enter, path, pid}: Crossing): Record<string, string> {
  return {PATH: path || defaultPath, RKT_STAGE1_ENTERCMD: enter, RKT_STAGE1_ENTERPID: String(pid)}
}

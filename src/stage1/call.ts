import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {callerEnvironment} from '../native/index.ts'

export interface EntrypointCall {
  /** A tree that the pod cannot write. */
  readonly rootfs: string
  readonly entrypoint: {readonly named: string; readonly relative: string}
  readonly arguments: readonly string[]
  readonly cwd: string
  readonly stdout: 'inherit' | 'ignore'
}

/** Runs an entrypoint as a child and waits for it; any end but status 0 is a failure that says which. */
export async function callEntrypoint({arguments: words, cwd, entrypoint, rootfs, stdout}: EntrypointCall): Promise<void> {
  const {execa} = await import('execa')
  const {exitCode, failed, originalMessage, signal} = await execa(join(rootfs, entrypoint.relative), words, {
    argv0: join(rootfs, entrypoint.named),
    cwd,
    env: callerEnvironment(),
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    stdout,
    stderr: 'inherit',
  })
  if (!failed) return
  const how = exitCode === undefined ? (signal === undefined ? originalMessage : `signal: ${signal}`) : `exit status ${exitCode}`
  throw new RktError('RKT_STAGE1_ENTRYPOINT_FAILED', 'error executing stage1 entrypoint', {cause: new Error(how)})
}

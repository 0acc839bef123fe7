import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {callerEnvironment, native} from '../native/index.ts'

export interface EntrypointCall {
  /** A tree that the pod cannot write. */
  readonly rootfs: string
  readonly entrypoint: {readonly named: string; readonly relative: string}
  readonly arguments: readonly string[]
  readonly cwd: string
  /** The caller's when left out. */
  readonly environment?: Readonly<Record<string, string>>
  readonly stdin?: 'inherit' | 'ignore'
  readonly stdout: 'inherit' | 'ignore' | 'pipe'
  readonly stderr?: 'inherit' | 'pipe'
}

/** How an entrypoint ended: `undefined` when it did well, else in words. */
export interface EntrypointEnd {
  readonly failure: string | undefined
  readonly exitCode: number | undefined
  /** What was piped; both streams in the order in which they came, when both were. */
  readonly output: string
}

const maxOutput = 1 << 20

/** Runs an entrypoint as a child and waits for it. */
export async function runEntrypoint(call: EntrypointCall): Promise<EntrypointEnd> {
  const {arguments: words, cwd, entrypoint, environment = callerEnvironment(), rootfs} = call
  const {stderr = 'inherit', stdin = 'ignore', stdout} = call
  const {execa} = await import('execa')
  const terminal = stdin === 'inherit' ? native().terminalMode(0) : null
  const result = await execa(join(rootfs, entrypoint.relative), words, {
    all: true,
    argv0: join(rootfs, entrypoint.named),
    cwd,
    env: environment,
    extendEnv: false,
    maxBuffer: maxOutput,
    reject: false,
    stderr,
    stdin,
    stdout,
    stripFinalNewline: false,
  })
  const {exitCode, failed, originalMessage, signal} = result
  // What was killed could not give the terminal back as it was.
  if (exitCode === undefined) terminal?.restore()
  const how = exitCode === undefined ? (signal === undefined ? originalMessage : `signal: ${signal}`) : `exit status ${exitCode}`
  return {exitCode, failure: failed ? (how ?? 'it failed') : undefined, output: result.all ?? ''}
}

/** The same; any end but status 0 is a failure that says which. */
export async function callEntrypoint(call: EntrypointCall): Promise<string> {
  const {failure, output} = await runEntrypoint(call)
  if (failure === undefined) return output
  throw new RktError('RKT_STAGE1_ENTRYPOINT_FAILED', 'error executing stage1 entrypoint', {cause: new Error(failure)})
}

import {RktError} from '../errors.ts'
import {type AttachChoice, attachArguments} from '../stage1/index.ts'
import {cross, crossingFailure} from './crossing.ts'
import type {PodEngine} from './engine-slice.ts'
import type {Pod} from './pods.ts'

export const attachEndpoints = ['stdin', 'stdout', 'stderr', 'tty', 'tty-in', 'tty-out'] as const
type EndpointWord = (typeof attachEndpoints)[number]

/** Everything that an app offers, or some of it. */
export type AttachMode = 'auto' | AttachChoice

/** The text of `--mode`: nothing and `auto` mean everything. `list` is no way to attach. */
export function parseAttachMode(text: string): AttachMode | 'list' {
  if (text === '' || text === 'auto') return 'auto'
  if (text === 'list') return 'list'
  const words = text.split(',')
  const fail = (message: string) => new RktError('RKT_ATTACH_MODE', 'invalid attach mode', {cause: new Error(message)})
  for (const word of words)
    if (!(attachEndpoints as readonly string[]).includes(word)) throw fail(`unknown endpoint ${JSON.stringify(word)}`)
  const has = (...some: EndpointWord[]) => some.some((word) => words.includes(word))
  if (has('tty', 'tty-in', 'tty-out') && has('stdin', 'stdout', 'stderr'))
    throw fail(`incompatible endpoints ${JSON.stringify(text)}, cannot simultaneously attach TTY and streams`)
  return {
    stderr: has('stderr'),
    stdin: has('stdin'),
    stdout: has('stdout'),
    ttyIn: has('tty', 'tty-in'),
    ttyOut: has('tty', 'tty-out'),
  }
}

/** An endpoint of an app, as its stage1 names it. */
export interface AttachTarget {
  readonly name: string
  readonly domain: string
  readonly address: string
}

type AttachEngine = Pick<PodEngine, 'pods' | 'treestore' | 'options'>

/** Puts the caller's standard streams beside those of an app, until an output of the app ends or the caller goes. */
export async function attachToApp(engine: AttachEngine, pod: Pod<'running'>, app: string, mode: AttachMode): Promise<void> {
  const words = attachArguments({app, debug: engine.options.debug, mode})
  const end = await cross(engine, pod, 'attach', words, {stdin: 'inherit', stdout: 'inherit'})
  const failure = crossingFailure(end)
  if (failure) throw failure
}

/** What of an app can be attached to: as stage1 prints it, and what is understood of that. */
export async function listEndpoints(
  engine: AttachEngine,
  pod: Pod<'running'>,
  app: string,
): Promise<{readonly text: string; readonly targets: readonly AttachTarget[] | undefined}> {
  const words = attachArguments({app, debug: engine.options.debug, mode: 'list'})
  const end = await cross(engine, pod, 'attach', words, {stdout: 'pipe'})
  const failure = crossingFailure(end)
  if (failure) throw failure
  return {targets: parseTargets(end.output), text: end.output}
}

/** Undefined for what another stage1 may say in a form of its own. */
function parseTargets(text: string): AttachTarget[] | undefined {
  try {
    const {targets} = JSON.parse(text) as {readonly targets?: unknown}
    if (!Array.isArray(targets)) return undefined
    return targets.filter((each): each is AttachTarget => typeof (each as AttachTarget | null)?.name === 'string')
  } catch {
    return undefined
  }
}

import {join} from 'node:path'
import {causeChain, RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'
import {callEntrypoint, findEntrypoint, gcArguments, interfaceVersion} from '../stage1/index.ts'
import {isAbsent} from './absent.ts'
import {PodContents} from './contents.ts'
import type {PodEngine} from './engine-slice.ts'
import {type HeldPod, movePod} from './held-pod.ts'
import {podFiles} from './paths.ts'
import {movedAt, type Pod} from './pods.ts'
import {unregisterPod} from './registration.ts'
import type {PodDirectory} from './state.ts'
import type {PodUuid} from './uuid.ts'

/** Where a collection says what it does. */
export interface GcReport {
  /** On stdout. */
  print(line: string): void
  /** On stderr. */
  note(line: string): void
}

type GcEngine = Pick<PodEngine, 'diagnostics' | 'options' | 'pods' | 'treestore'>

export interface GcOptions {
  readonly gracePeriodMs: number
  readonly expirePreparedMs: number
  readonly markOnly: boolean
  readonly formatDuration: (milliseconds: number) => string
}

/**
 * Marks the pods that have ended and removes those that were marked long enough ago. Every step may be repeated, and may meet
 * another collection on its way.
 */
export async function collectGarbage(engine: GcEngine, options: GcOptions, report: GcReport): Promise<void> {
  await step('failed to rename exited pods', () => markExited(engine, report))
  await step('failed to rename aborted pods', () => markAborted(engine, report))
  if (options.markOnly) return
  await step('failed to rename expired prepared pods', () => markExpired(engine, options.expirePreparedMs, report))
  await step('failed to empty exitedGarbage', () => sweep(engine, 'exited-garbage', options, report))
  await step('failed to empty garbage', () => sweep(engine, 'garbage', options, report))
}

async function step(failure: string, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (cause) {
    throw new RktError('RKT_GC', failure, {cause})
  }
}

async function markExited({pods}: GcEngine, {note}: GcReport): Promise<void> {
  for (const pod of pods.list(['run'])) {
    if (pod.state !== 'exited') continue
    note(`moving pod "${pod.uuid}" to garbage`)
    markGarbage(pods.root, pod, 'run', 'exited-garbage')
  }
}

/** Preparations whose process is gone, also in their first instant. */
async function markAborted({pods}: GcEngine, {note}: GcReport): Promise<void> {
  for (const {directory, state, uuid} of pods.list(['embryo', 'prepare'])) {
    if (state !== 'embryo' && state !== 'aborted prepare') continue
    // An embryo is nobody's only when its lock can be had.
    using held = await pods.hold(uuid, directory === 'embryo' ? 'embryo' : 'prepare')
    if (!held) continue
    note(`moving failed prepare "${uuid}" to garbage`)
    moveIfThere(() => held.moveTo('garbage'))
  }
}

async function markExpired({pods}: GcEngine, expirePreparedMs: number, {note}: GcReport): Promise<void> {
  for (const pod of pods.list(['prepared'])) {
    if (!isOlderThan(pod, expirePreparedMs)) continue
    // Whoever runs it holds its lock.
    using held = await pods.hold(pod.uuid, 'prepared')
    if (!held) continue
    note(`moving expired prepared pod "${pod.uuid}" to garbage`)
    moveIfThere(() => held.moveTo('garbage'))
  }
}

async function sweep(
  engine: GcEngine,
  directory: 'exited-garbage' | 'garbage',
  {formatDuration, gracePeriodMs}: GcOptions,
  report: GcReport,
): Promise<void> {
  for (const pod of engine.pods.list([directory])) {
    if (directory === 'exited-garbage' && !isOlderThan(pod, gracePeriodMs)) {
      report.note(`pod "${pod.uuid}" not removed: still within grace period (${formatDuration(gracePeriodMs)})`)
      continue
    }
    using held = await engine.pods.hold(pod.uuid, directory)
    if (!held) continue
    report.print(`Garbage collecting pod "${pod.uuid}"`)
    await deletePod(engine, held, report)
  }
}

function isOlderThan(pod: Pod, ms: number): boolean {
  try {
    return Date.now() >= Number(movedAt(pod) / 1_000_000n) + ms
  } catch (error) {
    if (isAbsent(error)) return false
    throw error
  }
}

/** Moves an exited pod, which needs no lock: nobody runs it again. One that another collection took is as it should be. */
export function markGarbage(root: string, {uuid}: Pod, from: 'run', to: 'exited-garbage'): void {
  moveIfThere(() => movePod(root, uuid, from, to))
}

function moveIfThere(move: () => void): void {
  try {
    move()
  } catch (cause) {
    if (isAbsent(cause)) return
    throw new RktError('RKT_POD_TRANSITION', 'rename error', {cause})
  }
}

/**
 * Removes a pod that lies in garbage and all that it left. What cannot be done is said, and left for the next collection; the answer
 * says whether the pod is gone.
 */
export async function deletePod(engine: GcEngine, pod: HeldPod<'exited-garbage' | 'garbage'>, {note}: GcReport): Promise<boolean> {
  try {
    await unregisterPod(pod)
  } catch (cause) {
    note(withCause('warning: could not unregister pod with metadata service', cause))
  }
  if (pod.directory === 'exited-garbage') await collectStage1(engine, pod, note)
  try {
    unwrap(native().unmountBelow(pod.path))
  } catch (cause) {
    note(withCause(`GC of leftover mounts for pod "${pod.uuid}" failed`, cause))
    return false
  }
  try {
    // While the pod's manifest is there, a removal that fails half way can be repeated.
    for (const part of [podFiles.stage1Rootfs, podFiles.overlay]) unwrap(await native().removeTree(join(pod.path, part)))
  } catch (cause) {
    note(withCause(`unable to remove pod rootfs "${pod.uuid}"`, cause))
    return false
  }
  try {
    unwrap(await native().removeTree(pod.path))
  } catch (cause) {
    note(withCause(`unable to remove pod "${pod.uuid}"`, cause))
    return false
  }
  return true
}

/** Lets stage1 give back what it took from the host. Executed from the treestore: the pod could write to its own copy. */
async function collectStage1({options, treestore}: GcEngine, pod: HeldPod<PodDirectory>, note: GcReport['note']): Promise<void> {
  const contents = new PodContents(pod)
  let rootfs: string
  try {
    const tree = contents.stage1TreeId()
    if (!treestore.isRendered(tree)) throw new Error(`stage1 tree ${tree} is not in the treestore`)
    rootfs = treestore.rootfsPath(tree)
  } catch (cause) {
    note(withCause('skipping stage1 GC', cause))
    return
  }
  try {
    const manifest = contents.stage1Manifest()
    const entrypoint = findEntrypoint(manifest, 'gc', rootfs)
    const {debug, localConfig} = options
    const words = gcArguments({debug, localConfig, uuid: pod.uuid}, interfaceVersion(manifest))
    await callEntrypoint({arguments: words, cwd: pod.path, entrypoint, rootfs, stdout: 'ignore'})
  } catch (cause) {
    note(withCause(`problem performing stage1 GC on "${pod.uuid}"`, cause))
  }
}

/** As failures are shown everywhere: the sentence, then the innermost cause. */
export function withCause(message: string, cause: unknown): string {
  return `${message}: ${causeChain(cause).at(-1) ?? String(cause)}`
}

/**
 * Takes one pod out of its life, by its state, and holds it. Null when somebody else has removed it meanwhile.
 */
export async function toGarbage(
  {pods}: GcEngine,
  uuid: PodUuid,
  note: GcReport['note'],
): Promise<HeldPod<'exited-garbage' | 'garbage'> | null> {
  const refuse = (what: string) => new RktError('RKT_POD_STATE', `pod "${uuid}" is currently ${what}`)
  const pod = pods.inspect(uuid)
  switch (pod?.state) {
    case undefined:
      return null
    case 'running':
      throw refuse('running')
    case 'embryo':
    case 'preparing':
      throw refuse('being prepared')
    case 'deleting':
    case 'exited deleting':
      throw refuse('being deleted')
    case 'aborted prepare': {
      note(`moving failed prepare "${uuid}" to garbage`)
      return (await heldFor(pods, uuid, 'prepare')).moveTo('garbage')
    }
    case 'prepared': {
      note(`moving expired prepared pod "${uuid}" to garbage`)
      return (await heldFor(pods, uuid, 'prepared')).moveTo('garbage')
    }
    case 'exited':
      return (await heldFor(pods, uuid, 'run')).moveTo('exited-garbage')
    case 'exited garbage':
      return await heldFor(pods, uuid, 'exited-garbage')
    case 'garbage':
      return await heldFor(pods, uuid, 'garbage')
  }
}

async function heldFor<D extends PodDirectory>(pods: GcEngine['pods'], uuid: PodUuid, directory: D): Promise<HeldPod<D>> {
  const held = await pods.hold(uuid, directory)
  if (!held) throw new RktError('RKT_POD_LOCKED', 'unable to acquire exclusive lock', {cause: new Error('file already locked')})
  return held
}

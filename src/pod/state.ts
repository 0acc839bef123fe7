/**
 * What a pod's place says about it. The directory that holds it and whether somebody holds its lock exclusively are the whole
 * truth (docs/data-directory.md); nothing about the state is written down anywhere else.
 */

/** The parents of pod directories, in the order in which a pod passes through them. */
export const podDirectories = ['embryo', 'prepare', 'prepared', 'run', 'exited-garbage', 'garbage'] as const
export type PodDirectory = (typeof podDirectories)[number]

/** Where a pod that a user can name may be. */
export const nameableDirectories = ['run', 'exited-garbage', 'prepare', 'prepared'] as const satisfies readonly PodDirectory[]

const states = {
  embryo: {free: 'embryo', held: 'embryo'},
  'exited-garbage': {free: 'exited garbage', held: 'exited deleting'},
  garbage: {free: 'garbage', held: 'deleting'},
  prepare: {free: 'aborted prepare', held: 'preparing'},
  prepared: {free: 'prepared', held: 'prepared'},
  run: {free: 'exited', held: 'running'},
} as const satisfies Record<PodDirectory, {free: string; held: string}>

type States = typeof states
export type PodState = States[PodDirectory]['free' | 'held']

/** The lock tells nothing about these, so it is not probed. */
export const ignoresLock = (directory: PodDirectory): boolean => states[directory].free === states[directory].held

export function stateOf(directory: PodDirectory, held: boolean): PodState {
  return states[directory][held ? 'held' : 'free']
}

/** Renames that exist. Only a pod whose maker died goes from `embryo` to `garbage`. */
export const nextDirectories = {
  embryo: ['prepare', 'garbage'],
  'exited-garbage': [],
  garbage: [],
  prepare: ['prepared', 'run', 'garbage'],
  prepared: ['run', 'garbage'],
  run: ['exited-garbage'],
} as const satisfies Record<PodDirectory, readonly PodDirectory[]>

const among =
  <const S extends PodState>(...members: readonly S[]) =>
  (state: PodState): state is S =>
    (members as readonly PodState[]).includes(state)

/** The pod has run and does so no more. */
export const isAfterRun = among('exited', 'exited garbage', 'exited deleting', 'garbage', 'deleting')

/** Nothing that a user waits for will happen to the pod any more. */
export const isFinished = among('exited', 'exited garbage', 'exited deleting', 'aborted prepare', 'garbage')

/** The pod manifest is complete and not being removed. */
export const hasManifest = (state: PodState): boolean => !lacksManifest(state)
const lacksManifest = among('embryo', 'preparing', 'aborted prepare', 'deleting')

/** The creation time means something. */
export const hasCreationTime = (state: PodState): boolean => state === 'prepared' || state === 'running' || isAfterRun(state)

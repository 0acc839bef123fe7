/** A pod as `list` and `status` tell of it to programs. Field names and their order are a promise to scripts. */

import type {Mount, PodManifest, RuntimeApp, UserMap, Volume} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {type Instant, type NetworkInfo, PodContents} from './contents.ts'
import {movedAt, type Pod} from './pods.ts'
import {hasManifest, type PodState} from './state.ts'

/** Nanoseconds do not fit a double; `JSON.stringify` emits this to the last digit. */
export type RawNumber = ReturnType<typeof rawNumber>

export interface AppReport {
  readonly name: string
  readonly state: 'unknown' | 'created' | 'running' | 'exited'
  readonly created_at?: RawNumber
  readonly started_at?: RawNumber
  readonly finished_at?: RawNumber
  readonly exit_code?: number
  /** The system call that the app died of. */
  readonly refused_syscall?: string
  readonly image_id?: string
  readonly mounts?: readonly {
    readonly name: string
    readonly container_path: string
    readonly host_path: string
    readonly read_only: boolean
  }[]
  readonly user_annotations?: UserMap
  readonly user_labels?: UserMap
}

export interface PodReport {
  readonly name: string
  readonly state: PodState
  readonly networks?: readonly NetworkInfo[]
  readonly app_names?: readonly string[]
  readonly apps?: readonly AppReport[]
  readonly created_at?: number
  readonly started_at?: number
  readonly user_annotations?: UserMap
  readonly user_labels?: UserMap
}

/** The report of one pod. One that should have a creation time and has none is an error. */
export function reportPod(pod: Pod): PodReport {
  const contents = new PodContents(pod)
  const created = contents.createdAt()
  if (created === undefined) throw new RktError('RKT_POD_REPORT', 'invalid creation time')
  const started = contents.startedAt()
  const finished = pod.directory === 'exited-garbage' || pod.directory === 'garbage' ? movedAt(pod) : undefined
  const manifest = hasManifest(pod.state) ? contents.manifest() : undefined
  const networks = contents.networks()
  const root = manifest && hasStatuses(pod.state) ? contents.stage1Root() : undefined
  const apps = manifest?.apps.map((app) => {
    const exitCode = root === undefined ? undefined : contents.exitStatus(app.name, root)
    const refusedCall = exitCode === undefined ? undefined : contents.refusedCall(app.name, root)
    return reportApp(app, manifest, {created, exitCode, finished, refusedCall, started, state: pod.state})
  })
  return {
    name: pod.uuid,
    state: pod.state,
    ...(networks.length > 0 && {networks}),
    ...(apps && apps.length > 0 && {app_names: apps.map(({name}) => name), apps}),
    created_at: seconds(created),
    ...(started !== undefined && {started_at: seconds(started)}),
    ...userMaps(manifest),
  }
}

const hasStatuses = (state: PodState) => state !== 'embryo' && state !== 'preparing' && state !== 'aborted prepare' && state !== 'prepared'

interface AppFacts {
  readonly created: Instant
  readonly exitCode: number | undefined
  readonly finished: Instant | undefined
  readonly refusedCall: string | undefined
  readonly started: Instant | undefined
  readonly state: PodState
}

function reportApp(app: RuntimeApp, {volumes = []}: PodManifest, facts: AppFacts): AppReport {
  const {created, exitCode, finished, refusedCall, started, state} = facts
  return {
    name: app.name,
    state: exitCode === undefined ? appState(state) : 'exited',
    created_at: rawNumber(created),
    ...(started !== undefined && {started_at: rawNumber(started)}),
    ...(finished !== undefined && {finished_at: rawNumber(finished)}),
    ...(exitCode !== undefined && {exit_code: exitCode}),
    ...(refusedCall !== undefined && {refused_syscall: refusedCall}),
    ...reportedApp(app, {volumes}),
  }
}

/** What is told of an app whatever its state. */
export function reportedApp(app: RuntimeApp, {volumes = []}: Pick<PodManifest, 'volumes'>) {
  const mounts = app.mounts?.map((mount) => reportMount(mount, app, volumes)) ?? []
  return {
    ...(app.image.id !== undefined && {image_id: app.image.id}),
    ...(mounts.length > 0 && {mounts}),
    ...userMaps(app.app),
  }
}

function appState(state: PodState): AppReport['state'] {
  switch (state) {
    case 'embryo':
    case 'preparing':
    case 'aborted prepare':
      return 'unknown'
    case 'prepared':
      return 'created'
    case 'running':
      return 'running'
    default:
      return 'exited'
  }
}

function reportMount(mount: Mount, {app}: RuntimeApp, volumes: readonly Volume[]) {
  const volume = mount.appVolume ?? volumes.find(({name}) => name === mount.volume)
  const point = app?.mountPoints?.find(({name}) => name === mount.volume)
  return {
    name: mount.volume,
    container_path: mount.path,
    host_path: volume?.kind === 'host' ? volume.source : '',
    read_only: volume?.readOnly ?? point?.readOnly ?? false,
  }
}

function userMaps(of: {readonly userAnnotations?: UserMap | undefined; readonly userLabels?: UserMap | undefined} | undefined) {
  return {
    ...(of?.userAnnotations && {user_annotations: of.userAnnotations}),
    ...(of?.userLabels && {user_labels: of.userLabels}),
  }
}

const seconds = (instant: Instant): number => Number(instant / 1_000_000_000n)
export const rawNumber = (instant: Instant) =>
  (JSON as unknown as {rawJSON(text: string): {readonly rawJSON: string}}).rawJSON(String(instant))

/** `NAME:ip4=ADDRESS`, as tables and `status` show networks; `ip6` where a network has none of IPv4. */
export const formatNetworks = (networks: readonly NetworkInfo[]): string =>
  networks.map(({ip, netName}) => `${netName}:${ip.includes(':') ? 'ip6' : 'ip4'}=${ip}`).join(', ')

/** What a pod's directory says, as the API tells it (api-service, "How a Pod is filled"). */

import {readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {create} from '@bufbuild/protobuf'
import {
  AC_VERSION,
  hasCreationTime,
  type ImageManifest,
  isAfterRun,
  labelValue,
  movedAt,
  PodContents,
  type PodManifest,
  type Pod as PodPlace,
  type PodState,
  podCgroup,
} from '@rkt/engine'
import {
  type App,
  AppSchema,
  AppState,
  type ImageFormat,
  ImageFormatSchema,
  ImageSchema,
  ImageType,
  type KeyValue,
  KeyValueSchema,
  NetworkSchema,
  type Pod,
  PodSchema,
  PodState as State,
} from '../generated/v1alpha_pb.js'

/** A pod, without its manifest, and its manifest. */
export interface PodFacts {
  readonly place: PodPlace
  readonly message: Pod
  readonly manifest: Buffer
  /** Read while neither the file nor what it names changes. */
  readonly fixed: FixedFacts | undefined
  /** Statuses of apps that have ended, and were not started again. */
  readonly statuses: ReadonlyMap<string, number>
  /** When the apps of a mutable pod were last started, those that were; undefined for a pod whose apps begin and end with it. */
  readonly starts: ReadonlyMap<string, bigint> | undefined
}

/** What does not change while the pod manifest does not. */
interface FixedFacts {
  readonly mtimeNs: bigint
  readonly bytes: Buffer
  readonly manifest: PodManifest
  readonly apps: readonly App[]
  readonly annotations: readonly KeyValue[]
}

const states: Readonly<Record<PodState, State>> = {
  'aborted prepare': State.ABORTED_PREPARE,
  deleting: State.DELETING,
  embryo: State.EMBRYO,
  exited: State.EXITED,
  'exited deleting': State.UNDEFINED,
  'exited garbage': State.GARBAGE,
  garbage: State.GARBAGE,
  prepared: State.PREPARED,
  preparing: State.PREPARING,
  running: State.RUNNING,
}

export const appcFormat = (): ImageFormat => create(ImageFormatSchema, {type: ImageType.APPC, version: AC_VERSION})

export const keyValues = (pairs: readonly {readonly name: string; readonly value: string}[] | undefined): KeyValue[] =>
  (pairs ?? []).map(({name, value}) => create(KeyValueSchema, {Key: name, value}))

/** Reads a pod. What cannot be read is left out and said; nothing here fails. */
export function readPod(place: PodPlace, before: PodFacts | undefined, note: (line: string) => void): PodFacts {
  const contents = new PodContents(place)
  const {state, uuid} = place
  const attempt = <T>(what: string, read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      // A directory that has moved on is read again at its new place.
      if (!isAbsent(error)) note(`failed to get the ${what} for pod "${uuid}": ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }
  const fixed = attempt('manifest', () => readFixed(contents, before?.fixed))
  const after = isAfterRun(state)
  const isMutable = fixed?.manifest.annotations?.some(({name, value}) => name === mutable && value === 'true') ?? false
  const statuses = new Map<string, number>()
  const starts = new Map<string, bigint>()
  if (fixed && (after || state === 'running')) {
    const root = attempt('stage1', () => contents.stage1Root())
    for (const {name} of root === undefined ? [] : fixed.apps) {
      const {ended, started} = isMutable ? (attempt('start', () => contents.lastRun(name, root)) ?? {}) : {}
      if (started !== undefined) starts.set(name, started)
      const status = attempt('status', () => contents.exitStatus(name, root))
      // The status of an app that is removed goes before the app does.
      const last = started !== undefined && started === before?.starts?.get(name) ? before.statuses.get(name) : undefined
      const known = isMutable && ended === undefined ? last : (status ?? last)
      if (known !== undefined) statuses.set(name, known)
    }
  }
  const message = create(PodSchema, {
    annotations: [...(fixed?.annotations ?? [])],
    apps: (fixed?.apps ?? []).map((app) => ({...app, ...appState(state, statuses.get(app.name))})),
    id: uuid,
    pid: -1,
    state: states[state],
  })
  if (states[state] !== State.UNDEFINED && state !== 'embryo') {
    message.createdAt = hasCreationTime(state) ? (attempt('creation time', () => contents.createdAt()) ?? 0n) : 0n
    message.startedAt = after || state === 'running' ? (attempt('start time', () => contents.startedAt()) ?? 0n) : 0n
    if (place.directory === 'garbage' || place.directory === 'exited-garbage') {
      message.gcMarkedAt = attempt('time of marking', () => movedAt(place)) ?? 0n
    }
    if (after || state === 'running') message.pid = attempt('PID', () => contents.pid()) ?? -1
    if (state === 'running' || state === 'exited') {
      const networks = attempt('networks', () => contents.networks()) ?? []
      message.networks = networks.map(({ip, netName}) => create(NetworkSchema, {ipv4: ip, name: netName}))
    }
    if (state === 'running') message.cgroup = attempt('cgroup', () => podCgroup(contents)) ?? ''
  }
  return {fixed, manifest: fixed?.bytes ?? Buffer.alloc(0), message, place, starts: isMutable ? starts : undefined, statuses}
}

const mutable = 'coreos.com/rkt/stage1/mutable'

/** The state is the pod's, as clients know it; that an app has ended before its pod is told by its exit code and by events. */
function appState(state: PodState, status: number | undefined): {exitCode: number; state: AppState} {
  const ran = isAfterRun(state) ? AppState.EXITED : AppState.UNDEFINED
  return {exitCode: status ?? 0, state: state === 'running' ? AppState.RUNNING : ran}
}

function readFixed(contents: PodContents, before: FixedFacts | undefined): FixedFacts {
  const path = join(contents.path, 'pod')
  const {mtimeNs} = statSync(path, {bigint: true})
  if (before?.mtimeNs === mtimeNs) return before
  const bytes = readFileSync(path)
  const manifest = contents.manifest()
  const apps = manifest.apps.map(({annotations, image, name}) => {
    const facts = imageFacts(contents, name)
    const described = create(ImageSchema, {baseFormat: appcFormat(), id: image.id ?? '', ...facts})
    return create(AppSchema, {annotations: keyValues(annotations), image: described, name})
  })
  return {annotations: keyValues(manifest.annotations), apps, bytes, manifest, mtimeNs}
}

/** Of an image whose manifest is missing, name and version stay empty. */
function imageFacts(contents: PodContents, app: string): {name: string; version: string} | undefined {
  let manifest: ImageManifest
  try {
    manifest = contents.imageManifest(app)
  } catch {
    // The contract: deleted manifests of apps do not make a pod unlisted.
    return undefined
  }
  return {name: manifest.name, version: versionOf(manifest)}
}

export const versionOf = ({labels}: Pick<ImageManifest, 'labels'>): string => labelValue(labels, 'version') ?? 'latest'

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && (('code' in error && error.code === 'ENOENT') || (error.cause !== undefined && isAbsent(error.cause)))

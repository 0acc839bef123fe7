/** What a schema cannot say of a manifest, and the defaults that reading fills in. */
import {checkIsolatorSet, checkIsolators} from './isolators.ts'
import {labelValue, platformProblem} from './platform.ts'
import {portProblem} from './port.ts'
import {type Path, Problem, requireUnique, within} from './problem.ts'
import {AC_VERSION, isAddress, isDate, isWebUrl, parseAcVersion} from './scalars.ts'
import {quote} from './text.ts'
import type {Annotation, App, ExposedPort, ImageManifest, Label, PodManifest, Port, RuntimeApp, Volume} from './types.ts'
import {completeVolume, type VolumeDraft, volumeProblem} from './volume.ts'

/** The fields of T that a document may leave out and that reading fills in. */
type Draft<T, Defaulted extends keyof T> = Omit<T, Defaulted> & {readonly [Field in Defaulted]?: T[Field] | undefined}

const present = <T>(value: T | undefined, field: string): object => (value === undefined ? {} : {[field]: value})

/** A valid image manifest out of one that its schema accepts. */
export function completeImage(draft: ImageManifest): ImageManifest {
  const acVersion = within(['acVersion'], () => parseAcVersion(draft.acVersion))
  const labels = completeLabels(draft.labels, ['labels'])
  const app = draft.app && completeApp(draft.app, ['app'])
  const annotations = completeAnnotations(draft.annotations, ['annotations'])
  const dependencies = draft.dependencies?.map((dependency, index) => {
    const wanted = completeLabels(dependency.labels, ['dependencies', index, 'labels'])
    return {...dependency, ...present(wanted, 'labels')}
  })
  return {
    ...draft,
    acVersion,
    ...present(labels, 'labels'),
    ...present(app, 'app'),
    ...present(annotations, 'annotations'),
    ...present(dependencies, 'dependencies'),
  }
}

/** A valid pod manifest out of one that its schema accepts. */
export function completePod(draft: Draft<PodManifest, 'acVersion' | 'apps'>): PodManifest {
  const acVersion = within(['acVersion'], () => parseAcVersion(draft.acVersion ?? AC_VERSION))
  const apps = (draft.apps ?? []).map((app, index) => completeRuntimeApp(app, ['apps', index]))
  requireUnique(apps, ['apps'], 'app name')
  const volumes = draft.volumes?.map((volume, index) => checkedVolume(volume, ['volumes', index]))
  requireUnique(volumes, ['volumes'], 'volume name')
  checkIsolators(draft.isolators, ['isolators'])
  const annotations = completeAnnotations(draft.annotations, ['annotations'])
  const ports = draft.ports?.map((port, index) => completeExposedPort(port, ['ports', index]))
  return {...draft, acVersion, apps, ...present(volumes, 'volumes'), ...present(annotations, 'annotations'), ...present(ports, 'ports')}
}

function completeRuntimeApp(draft: Draft<RuntimeApp, 'image'>, path: Path): RuntimeApp {
  const labels = completeLabels(draft.image?.labels, [...path, 'image', 'labels'])
  const app = draft.app && completeApp(draft.app, [...path, 'app'])
  const mounts = draft.mounts?.map((mount, index) => {
    const own = mount.appVolume && checkedVolume(mount.appVolume, [...path, 'mounts', index, 'appVolume'])
    return {...mount, ...present(own, 'appVolume')}
  })
  const annotations = completeAnnotations(draft.annotations, [...path, 'annotations'])
  return {
    ...draft,
    image: {...draft.image, ...present(labels, 'labels')},
    ...present(app, 'app'),
    ...present(mounts, 'mounts'),
    ...present(annotations, 'annotations'),
  }
}

function completeApp(draft: Draft<App, 'exec'>, path: Path): App {
  const handlers = draft.eventHandlers?.map((handler) => ({...handler, exec: handler.exec ?? []}))
  requireUnique(handlers, [...path, 'eventHandlers'], 'event handler')
  const environment = draft.environment?.map((variable) => ({...variable, value: variable.value ?? ''}))
  requireUnique(environment, [...path, 'environment'], 'environment variable')
  checkIsolatorSet(draft.isolators, [...path, 'isolators'])
  const ports = draft.ports?.map((port, index) => completePort(port, [...path, 'ports', index]))
  return {
    ...draft,
    exec: draft.exec ?? [],
    ...present(handlers, 'eventHandlers'),
    ...present(environment, 'environment'),
    ...present(ports, 'ports'),
  }
}

function completePort(draft: Draft<Port, 'protocol' | 'count' | 'socketActivated'>, path: Path): Port {
  const {count = 0, protocol = '', socketActivated = false} = draft
  const problem = portProblem(draft.port, count)
  if (problem !== null) throw new Problem([...path, 'count'], problem)
  return {...draft, count: count || 1, protocol, socketActivated}
}

function completeExposedPort(draft: ExposedPort, path: Path): ExposedPort {
  const {hostIP = ''} = draft
  if (hostIP !== '' && !isAddress(hostIP)) throw new Problem([...path, 'hostIP'], `must be an IP address, not ${quote(hostIP)}`)
  const podPort = draft.podPort && completePort(draft.podPort, [...path, 'podPort'])
  return {...draft, ...present(podPort, 'podPort')}
}

function checkedVolume(draft: VolumeDraft, path: Path): Volume {
  const problem = volumeProblem(draft)
  if (problem !== null) throw new Problem(path, problem)
  return completeVolume(draft)
}

function completeLabels(drafts: readonly Label[] | undefined, path: Path): Label[] | undefined {
  const labels = drafts?.map((label) => ({...label, value: label.value ?? ''}))
  const named = labels?.findIndex((label) => label.name === 'name') ?? -1
  if (named >= 0) throw new Problem([...path, named, 'name'], 'a label must not be called "name"')
  requireUnique(labels, path, 'label')
  const problem = platformProblem(labelValue(labels, 'os'), labelValue(labels, 'arch'))
  if (problem !== null) throw new Problem(path, problem)
  return labels
}

const ANNOTATIONS: ReadonlyMap<string, readonly [valid: (text: string) => boolean, rule: string]> = new Map([
  ['created', [isDate, 'must be an RFC 3339 date such as 2016-04-01T19:12:03Z']],
  ['documentation', [isWebUrl, 'must be an http or https URL']],
  ['homepage', [isWebUrl, 'must be an http or https URL']],
] as const)

function completeAnnotations(drafts: readonly Annotation[] | undefined, path: Path): Annotation[] | undefined {
  const annotations = drafts?.map((annotation) => ({...annotation, value: annotation.value ?? ''}))
  requireUnique(annotations, path, 'annotation')
  for (const [index, {name, value}] of annotations?.entries() ?? []) {
    const [valid, rule] = ANNOTATIONS.get(name) ?? []
    if (valid?.(value) === false) throw new Problem([...path, index, 'value'], `${name} ${rule}, not ${quote(value)}`)
  }
  return annotations
}

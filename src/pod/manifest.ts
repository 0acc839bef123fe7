import {
  type AcIdentifier,
  type AcName,
  type Annotation,
  type App,
  appNameOf,
  checkOsArch,
  type ImageId,
  type PodManifest,
  parseAcName,
  type RuntimeApp,
  type UserMap,
} from '../appc/index.ts'
import {causeChain, RktError} from '../errors.ts'
import {appEnvironment} from './environment.ts'
import {overrideIsolators} from './isolators.ts'
import {mergeMounts} from './mounts.ts'
import {checkPorts} from './ports.ts'
import type {AppOverrides, AppRequest, ManifestRequest} from './request.ts'

/** Whether apps can be added to the pod while it runs. */
export const mutableAnnotation = 'coreos.com/rkt/stage1/mutable' as AcIdentifier

const fail = (message: string, cause?: unknown) => new RktError('RKT_POD_MANIFEST', message, {cause})

/** The manifest of a pod of these images: one app for each, in order, with what the command line changes. */
export function generatePodManifest(request: ManifestRequest): PodManifest {
  const apps: RuntimeApp[] = []
  for (const each of request.apps) {
    checkOsArch(each.manifest.labels)
    const app = runtimeApp(each, request)
    if (apps.some(({name}) => name === app.name)) throw fail(`error: multiple apps with name ${app.name}`)
    apps.push(app)
  }
  checkPorts(request.ports, apps)
  return {
    acKind: 'PodManifest',
    acVersion: request.version,
    annotations: [{name: mutableAnnotation, value: 'false'}],
    apps,
    ports: request.ports,
    ...(request.volumes.length > 0 && {volumes: request.volumes}),
  }
}

/** Whether apps come and go while the pod runs. An annotation that is no boolean is an error. */
export function isMutable({annotations = []}: PodManifest): boolean {
  const value = annotations?.find(({name}) => name === mutableAnnotation)?.value
  if (value === undefined) return false
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false
  throw fail('error parsing mutable annotation', new Error(`${JSON.stringify(value)} is not a boolean`))
}

/** What a pod that begins without apps is made of. */
export interface SandboxRequest extends Pick<PodManifest, 'userAnnotations' | 'userLabels'> {
  readonly annotations: readonly Annotation[]
  readonly ports: ManifestRequest['ports']
  readonly version: ManifestRequest['version']
}

/** The manifest of a pod that apps are added to while it runs. */
export function sandboxManifest({annotations, ports, userAnnotations, userLabels, version}: SandboxRequest): PodManifest {
  checkPorts(ports, [])
  return {
    acKind: 'PodManifest',
    acVersion: version,
    annotations: [...annotations.filter(({name}) => name !== mutableAnnotation), {name: mutableAnnotation, value: 'true'}],
    apps: [],
    ports,
    ...(userAnnotations && {userAnnotations}),
    ...(userLabels && {userLabels}),
  }
}

function runtimeApp({image, manifest, overrides}: AppRequest, request: ManifestRequest): RuntimeApp {
  const {readOnlyRootfs} = overrides
  const mounts = mergeMounts(overrides.mounts, request.mounts)
  const annotations = appAnnotations(overrides)
  return {
    app: appSection({image, manifest, overrides}, request),
    image: {id: image as string as ImageId, labels: manifest.labels, name: manifest.name},
    name: overrides.name === undefined ? appNameOf(manifest.name) : appName(overrides.name),
    ...(readOnlyRootfs && {readOnlyRootFS: true}),
    ...(mounts.length > 0 && {mounts}),
    ...(annotations.length > 0 && {annotations}),
  }
}

function appSection({image, manifest, overrides}: AppRequest, {caller, environment}: ManifestRequest): App {
  const {args, exec, group, supplementaryGids, user, workingDirectory} = overrides
  if (!manifest.app && exec === undefined) throw fail(`error: image ${image} has no app section and --exec argument is not provided`)
  const base: App = manifest.app ?? {exec: [], group: String(caller.gid), user: String(caller.uid)}
  const isolators = overrideIsolators(base.isolators ?? [], overrides)
  const variables = appEnvironment(base.environment ?? [], environment, overrides.environment)
  const userAnnotations = overlayMap(base.userAnnotations, overrides.userAnnotations)
  const userLabels = overlayMap(base.userLabels, overrides.userLabels)
  return {
    ...base,
    exec: [...(exec === undefined ? base.exec : [exec]), ...args],
    ...(user !== undefined && {user}),
    ...(group !== undefined && {group}),
    ...(supplementaryGids && {supplementaryGIDs: supplementaryGids}),
    ...(workingDirectory !== undefined && {workingDirectory}),
    ...(variables.length > 0 && {environment: variables}),
    ...(isolators.length > 0 && {isolators}),
    ...(userAnnotations && {userAnnotations}),
    ...(userLabels && {userLabels}),
  }
}

/** The annotations of the command line; those of the image stay in its own manifest. */
function appAnnotations({annotations, stderr, stdin, stdout}: AppOverrides): Annotation[] {
  const all = new Map<AcIdentifier, string>(annotations)
  for (const [stream, mode] of Object.entries({stderr, stdin, stdout}))
    if (mode !== undefined) all.set(`coreos.com/rkt/stage2/${stream}` as AcIdentifier, mode)
  return [...all].map(([name, value]) => ({name, value}))
}

function overlayMap(base: UserMap | undefined, over: ReadonlyMap<string, string>): UserMap | undefined {
  return over.size === 0 ? base : {...base, ...Object.fromEntries(over)}
}

function appName(text: string): AcName {
  try {
    return parseAcName(text)
  } catch (cause) {
    // The rule alone, which is what a user is shown, would not say which name broke it.
    const rule = causeChain(cause).at(-1) ?? ''
    throw fail('invalid app name format', new Error(`${JSON.stringify(text)}: ${rule}`))
  }
}

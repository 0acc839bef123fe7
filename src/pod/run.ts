import {mkdirSync, readdirSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {RktError} from '../errors.ts'
import {become, callerEnvironment, type IdRange, native, type OverlayMount, unwrap} from '../native/index.ts'
import {type Arguments, type Entrypoint, findEntrypoint, interfaceVersion, runArguments} from '../stage1/index.ts'
import {dnsConfMode, hostsText, type NameConfig} from './dns.ts'
import type {PodEngine} from './engine-slice.ts'
import {explain} from './explain.ts'
import type {HeldPod} from './held-pod.ts'
import {formatIds} from './id-range.ts'
import {Layer} from './layer.ts'
import {PodOverlays} from './overlay.ts'
import {podFiles, stage2} from './paths.ts'
import type {PreparedPod} from './prepared-pod.ts'
import {registerPod, unregisterPod} from './registration.ts'
import {type PodContexts, podContexts} from './selinux.ts'

export interface RunOptions {
  readonly names: NameConfig
  readonly hostname?: string | undefined
  readonly interactive: boolean
  readonly ipc?: string | undefined
  readonly localConfig?: string | undefined
  /** Apps come and go while the pod runs. */
  readonly mutable?: boolean
  readonly networks: readonly string[]
  /** Makes the pod known to the metadata service. */
  readonly register?: boolean
}

/** A pod that is ready to be run: all that can be refused was refused. */
export interface Launch {
  readonly argv: readonly string[]
  readonly executable: string
  readonly mounts: readonly OverlayMount[]
  readonly ids?: IdRange | undefined
}

/**
 * Decides how stage1 is started and writes all that has to be inside the pod's mounts, while the pod is not yet in `run`: one that
 * runs has all of it.
 */
export async function setUpPod(
  engine: PodEngine,
  pod: HeldPod<'prepare' | 'prepared'>,
  prepared: PreparedPod,
  options: RunOptions,
): Promise<Launch> {
  const {diagnostics, options: globals, pods, treestore} = engine
  const {manifest, tree} = prepared.stage1
  const home = join(pods.root, 'run', pod.uuid)
  diagnostics.debug('stage0', 'Setting up stage1')
  const copied = join(pod.path, podFiles.stage1Rootfs)
  const entrypoint = findEntrypoint(manifest, 'run', prepared.overlay ? treestore.rootfsPath(tree) : copied)
  // A command that was killed at this point leaves a prepared pod with some of it.
  if (pod.directory === 'prepared') unwrap(await native().removeTree(join(pod.path, podFiles.overlay)))
  const mounts = prepared.overlay ? writeOverlays(engine, pod, prepared, options, home) : writeCopies(pod, prepared, options)
  diagnostics.debug('stage0', `Wrote filesystem to ${home}`)
  const token = options.register ? await registerPod(engine, pod, prepared) : undefined
  const {warnings, words} = stage1Arguments(pod, prepared, {...options, token}, globals)
  for (const warning of warnings) diagnostics.note('stage0', warning)
  const rootfs = join(home, podFiles.stage1Rootfs)
  const executable = join(rootfs, entrypoint.relative)
  return {argv: [argvZero(rootfs, entrypoint), ...words], executable, ids: prepared.ids, mounts}
}

const argvZero = (rootfs: string, {named}: Entrypoint) => join(rootfs, named)

function stage1Arguments(
  pod: HeldPod<'prepare' | 'prepared'>,
  {ids, stage1}: PreparedPod,
  {hostname, interactive, ipc, localConfig, mutable = false, names, networks, token}: RunOptions & {readonly token: string | undefined},
  {debug, insecure}: PodEngine['options'],
): Arguments {
  return runArguments(
    {
      debug,
      dnsConfMode: dnsConfMode(names),
      hostname,
      insecure,
      interactive,
      ipc,
      localConfig,
      metadataToken: token,
      mutable,
      networks,
      privateUsers: ids && formatIds(ids),
      uuid: pod.uuid,
    },
    interfaceVersion(stage1.manifest),
  )
}

/**
 * Becomes the pod: its place becomes `run`, and this process stage1. Never returns. Of a pod that stage1 could not be started for,
 * nothing stays if this command made it.
 */
export async function becomePod(
  {diagnostics}: PodEngine,
  held: HeldPod<'prepare' | 'prepared'>,
  {argv, executable, ids, mounts}: Launch,
): Promise<never> {
  let pod: HeldPod<'run'>
  try {
    pod = held.moveTo('run')
  } catch (cause) {
    throw explain('unable to transition to run', cause)
  }
  diagnostics.debug('stage0', `Pivoting to filesystem ${pod.path}`)
  diagnostics.debug('stage0', `Execing [${argv.join(' ')}]`)
  try {
    const contexts = await labelPod(pod)
    return become({
      argv,
      cwd: pod.path,
      env: {
        ...callerEnvironment(),
        RKT_LOCK_FD: String(pod.lockFd),
        RKT_SELINUX_CONTEXT: contexts?.process ?? '',
        RKT_SELINUX_MOUNT_CONTEXT: contexts?.mount ?? '',
      },
      keepFds: [pod.lockFd],
      mounts: {ids, overlays: contexts ? mounts.map((overlay) => ({...overlay, context: contexts.mount})) : mounts, root: pod.path},
      path: executable,
    })
  } catch (error) {
    if (held.directory === 'prepare') await forget(pod)
    throw error
  }
}

/** The SELinux contexts of a pod, whose directory is labelled. */
async function labelPod(pod: HeldPod<'run'>): Promise<PodContexts | undefined> {
  const contexts = podContexts(pod.uuid, () => readdirSync(dirname(pod.path)))
  if (contexts) unwrap(await native().labelTree(pod.path, contexts.mount))
  return contexts
}

/** Removes a pod that never started. What cannot be removed is an exited pod, which `gc` takes. */
async function forget(pod: HeldPod<'run'>): Promise<void> {
  try {
    await unregisterPod(pod)
    unwrap(native().unmountBelow(pod.path))
    unwrap(await native().removeTree(pod.moveTo('exited-garbage').path))
  } catch {
    // The failure that brought us here is the one to show.
  }
}

function writeOverlays(
  {treestore}: PodEngine,
  pod: HeldPod<'prepare' | 'prepared'>,
  {apps, ids, stage1}: PreparedPod,
  {names}: RunOptions,
  home: string,
): OverlayMount[] {
  mkdirSync(join(pod.path, podFiles.stage1Rootfs), {mode: 0o755, recursive: true})
  using overlays = new PodOverlays(treestore, pod.path, home, ids)
  const {layer, mount} = overlays.stage1(stage1.tree)
  writeStage1(layer, treestore.rootfsPath(stage1.tree), names)
  const mounts = [mount]
  for (const {manifest, name, tree} of apps) {
    if (tree === undefined) throw new RktError('RKT_INTERNAL', `app "${name}" has no tree`)
    const rootfs = join(stage2(name), 'rootfs')
    layer.directory(rootfs)
    layer.file(join(stage2(name), 'manifest'), manifest, 0o644)
    const app = overlays.app(tree, name, join(podFiles.stage1Rootfs, rootfs))
    writeMtab(app.layer)
    mounts.push(app.mount)
  }
  return mounts
}

function writeCopies(pod: HeldPod<'prepare' | 'prepared'>, {apps, ids}: PreparedPod, {names}: RunOptions): OverlayMount[] {
  const rootfs = join(pod.path, podFiles.stage1Rootfs)
  writeStage1(Layer.copy(rootfs, ids), rootfs, names)
  for (const {name} of apps) writeMtab(Layer.copy(join(rootfs, stage2(name), 'rootfs'), ids))
  return []
}

/** Where stage1 and the host meet: statuses, environments, and the files about names that stage0 answers for. */
function writeStage1(layer: Layer, readFrom: string, {hosts, resolv}: NameConfig): void {
  layer.directory('rkt/status')
  layer.directory('rkt/env')
  if (hosts.mode !== 'stage0' && resolv.mode !== 'stage0') return
  layer.directory('etc')
  if (resolv.mode === 'stage0') layer.file('etc/rkt-resolv.conf', resolv.text, 0o644)
  if (hosts.mode === 'stage0') layer.file('etc/rkt-hosts', hostsText(hostsFallback(readFrom), hosts.lines), 0o644)
}

const maxHostsBytes = 1 << 20

function hostsFallback(rootfs: string): string | undefined {
  try {
    return unwrap(native().readFileBeneath(rootfs, 'etc/hosts-fallback', maxHostsBytes))?.toString()
  } catch {
    // The contract has a text for an image whose file cannot be read.
    return undefined
  }
}

/** Programs look for mounts there. An image that has a file of that name keeps it. */
export function writeMtab(app: Layer): void {
  if (!app.stat('etc')?.isDirectory() || app.stat('etc/mtab')) return
  app.directory('etc')
  app.link('etc/mtab', '../proc/self/mounts')
}

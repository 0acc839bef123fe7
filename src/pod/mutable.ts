/**
 * Apps that come and go while their pod runs (docs/mutable-pods.md). What many processes do to one pod happens one after the other, by
 * the lock `pod.lck`; of an app that cannot be added nothing stays.
 */

import {existsSync, realpathSync, renameSync, rmdirSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {encodePodManifest, type PodManifest, type RuntimeApp} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {FileLock, native, type PodProcess, unwrap} from '../native/index.ts'
import type {NamedImage} from '../store/index.ts'
import {PodContents} from './contents.ts'
import {cross, crossingFailure} from './crossing.ts'
import type {PodEngine} from './engine-slice.ts'
import {makeDirectory, writeNew} from './files.ts'
import {withCause} from './garbage.ts'
import {podLeader} from './leader.ts'
import {isMutable} from './manifest.ts'
import {notRunning} from './not-running.ts'
import {PodOverlays} from './overlay.ts'
import {appInfo, appManifest, appTreeId, podFiles, stage2} from './paths.ts'
import {isInState, type Pod} from './pods.ts'
import {type FoundImage, type ReadyImage, renderedImage, storedImage} from './prepare.ts'
import {prepareLock} from './prepare-lock.ts'
import {updateRegistration} from './registration.ts'
import {writeMtab} from './run.ts'
import {contextOfFiles} from './selinux.ts'
import {isAfterRun} from './state.ts'
import {waitUntilReady} from './wait.ts'

/** How long a pod may take to become ready, and operations before ours. */
const patienceMs = 60_000

const fail = (message: string, cause?: unknown) => new RktError('RKT_POD_APPS', message, {cause})

/** The pod that a user names, once it is ready; a pod that is only about to run is waited for. */
export async function readyPod({pods}: Pick<PodEngine, 'pods'>, text: string): Promise<Pod<'running'>> {
  const named = pods.get(text)
  const pod = isAfterRun(named.state) ? named : await waitUntilReady(pods, named.uuid, patienceMs)
  if (!pod || !isInState(pod, 'running')) throw notRunning(pod ?? named)
  return pod
}

type MutableEngine = PodEngine

/** Does something to the apps of a pod while nobody else does. */
async function alone<T>(pod: Pod, action: (manifest: PodManifest) => Promise<T>): Promise<T> {
  using _lock = await FileLock.acquire(join(pod.path, podFiles.manifestLock), 'exclusive', {timeoutMs: patienceMs})
  const manifest = new PodContents(pod).manifest()
  if (!isMutable(manifest)) throw fail('immutable pod')
  return await action(manifest)
}

/** Adds an app to a running pod, without starting it; answers its name. */
export async function addApp(
  engine: MutableEngine,
  pod: Pod<'running'>,
  image: NamedImage,
  appOf: (found: FoundImage) => RuntimeApp,
): Promise<string> {
  using _prepare = await prepareLock(engine.dataDir, 'shared')
  // Rendered before the lock: others need not wait for that.
  const overlay = new PodContents(pod).usesOverlay
  const ready = overlay ? await renderedImage(engine, image) : await storedImage(engine, image)
  const app = appOf(ready)
  return await alone(pod, async (manifest) => {
    if (manifest.apps.some(({name}) => name === app.name)) throw fail(`error: multiple apps with name ${app.name}`)
    const running = await processOf(engine, pod)
    await forget(pod, app.name, running)
    try {
      await place(engine, pod, running, app, ready)
      const next = {...manifest, apps: [...manifest.apps, app]}
      writeManifest(pod, next)
      unwrap(native().markAppInside(running, app.name, 'created'))
      await crossed(engine, pod, 'app/add', app.name, [`--uuid=${pod.uuid}`])
      await updateRegistration(pod, next, {manifest: ready.bytes, name: app.name})
    } catch (error) {
      writeManifest(pod, manifest)
      // The metadata service may have been told of the app, or have read of it as it started. The first failure is the one that counts.
      await updateRegistration(pod, manifest).catch(() => {})
      await forget(pod, app.name, running)
      throw error
    }
    return app.name
  })
}

/** The directories and mounts of an app. */
async function place(engine: MutableEngine, pod: Pod, running: PodProcess, app: RuntimeApp, image: ReadyImage): Promise<void> {
  const {name} = app
  const context = contextOfFiles(pod)
  const manifest = Buffer.from(image.bytes)
  makeDirectory(join(pod.path, appInfo(name)), 0o750)
  writeNew(join(pod.path, appManifest(name)), manifest, 0o640)
  if (image.tree === undefined) {
    unwrap(native().addAppInside(running, name, manifest, null))
    const rootfs = join(pod.path, podFiles.stage1Rootfs, stage2(name), 'rootfs')
    await engine.treestore.renderInto(image.key, rootfs, {shift: null})
    if (context !== undefined) unwrap(await native().labelTree(rootfs, context))
    return
  }
  writeNew(join(pod.path, appTreeId(name)), image.tree, 0o640)
  using overlays = new PodOverlays(engine.treestore, pod.path, pod.path)
  const {layer, mount} = overlays.app(image.tree, name, join(podFiles.stage1Rootfs, stage2(name), 'rootfs'))
  writeMtab(layer)
  unwrap(native().addAppInside(running, name, manifest, {...mount, ...(context !== undefined && {context})}))
}

/** Where a running pod is found. */
const processOf = async ({pods}: MutableEngine, pod: Pod<'running'>): Promise<PodProcess> => ({
  pid: await podLeader(pods, pod),
  stage1: join(realpathSync(pod.path), podFiles.stage1Rootfs),
})

/** Removes all that a pod, running or not, has of an app but its line in the manifest. What is absent is removed. */
async function forget(pod: Pod, app: string, running?: PodProcess): Promise<void> {
  if (running) unwrap(native().removeAppInside(running, app))
  const contents = new PodContents(pod)
  if (existsSync(join(pod.path, appTreeId(app)))) {
    const directory = join(pod.path, podFiles.overlay, contents.appTreeId(app))
    // Other apps of the same image have theirs beside it.
    for (const part of ['upper', 'work']) unwrap(await native().removeTree(join(directory, part, app)))
    for (const part of ['upper', 'work', '.']) removeIfEmpty(join(directory, part))
  } else if (!contents.usesOverlay) {
    unwrap(await native().removeTree(join(pod.path, podFiles.stage1Rootfs, stage2(app))))
  }
  rmSync(join(pod.path, appInfo(app)), {force: true, recursive: true})
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch {
    // Others have something there, or nobody had.
  }
}

function writeManifest(pod: Pod, manifest: PodManifest): void {
  const path = join(pod.path, podFiles.manifest)
  const temporary = `${path}.${process.pid}`
  rmSync(temporary, {force: true})
  writeFileSync(temporary, encodePodManifest(manifest), {flag: 'wx', mode: 0o640})
  renameSync(temporary, path)
}

type AppEntrypoint = 'app/add' | 'app/rm' | 'app/start' | 'app/stop'

/** Calls an entrypoint about an app; what it said is the innermost cause when it failed. Answers its exit status. */
async function crossed(
  engine: MutableEngine,
  pod: Pod<'running'>,
  entrypoint: AppEntrypoint,
  app: string,
  more: readonly string[] = [],
  accepted: readonly number[] = [],
): Promise<number> {
  const {debug} = engine.options
  const words = [`--debug=${debug}`, ...more, `--app=${app}`]
  const end = await cross(engine, pod, entrypoint, words, {stderr: 'pipe', stdout: 'pipe'})
  const said = end.output.trim()
  if (said !== '') engine.diagnostics.debug('stage1', said)
  if (end.failure === undefined || accepted.includes(end.exitCode ?? -1)) return end.exitCode ?? 0
  const failure = crossingFailure(end)
  const reason = said.split('\n').at(-1)
  throw reason ? new RktError('RKT_STAGE1_ENTRYPOINT_FAILED', failure?.message ?? '', {cause: new Error(reason)}) : failure
}

const known = (manifest: PodManifest, app: string): void => {
  if (!manifest.apps.some(({name}) => name === app)) throw fail(`error: nonexistent app "${app}"`)
}

/** Starts an app of a running pod; one that runs is left alone. One that cannot be started is what it was. */
export async function startApp(engine: MutableEngine, pod: Pod<'running'>, app: string): Promise<void> {
  await alone(pod, async (manifest) => {
    known(manifest, app)
    const contents = new PodContents(pod)
    const last = contents.lastRun(app)
    // Marked before it can end; what runs has its mark already.
    const isNew = last.started === undefined || last.ended !== undefined
    const running = await processOf(engine, pod)
    if (isNew) unwrap(native().markAppInside(running, app, 'started'))
    try {
      await crossed(engine, pod, 'app/start', app)
    } catch (error) {
      // An app whose program cannot be executed has run, and ended.
      if (isNew && contents.lastRun(app).ended === undefined) unwrap(native().unmarkAppInside(running, app, 'started'))
      throw error
    }
  })
}

// stage1's word for an app that does not run
const statusNotRunning = 5

/** Stops an app of a running pod, and waits for its end. */
export async function stopApp(engine: MutableEngine, pod: Pod<'running'>, app: string): Promise<void> {
  await alone(pod, async (manifest) => {
    known(manifest, app)
    if ((await crossed(engine, pod, 'app/stop', app, [], [statusNotRunning])) === statusNotRunning)
      throw fail(`app "${app}" is not running`)
  })
}

/** Stops an app, if it runs, and removes it from its pod, which may have ended. */
export async function removeApp(engine: MutableEngine, pod: Pod, app: string): Promise<void> {
  // A pod that has ended is not collected meanwhile.
  using kept = isInState(pod, 'running') ? null : FileLock.tryAcquire(pod.path, 'shared')
  if (!isInState(pod, 'running') && !kept) throw new RktError('RKT_POD_STATE', `pod "${pod.uuid}" is currently being deleted`)
  await alone(pod, async (manifest) => {
    known(manifest, app)
    if (isInState(pod, 'running')) {
      await crossed(engine, pod, 'app/stop', app, [], [statusNotRunning])
      await crossed(engine, pod, 'app/rm', app)
    }
    // The manifest last: until then the app can be removed again.
    await forget(pod, app, isInState(pod, 'running') ? await processOf(engine, pod) : undefined)
    const next = {...manifest, apps: manifest.apps.filter(({name}) => name !== app)}
    writeManifest(pod, next)
    try {
      await updateRegistration(pod, next)
    } catch (cause) {
      engine.diagnostics.note('app', withCause(`warning: the metadata service still knows app "${app}"`, cause))
    }
  })
}

import {closeSync, existsSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'
import {PodContents} from './contents.ts'
import type {PodEngine} from './engine-slice.ts'
import {readIds} from './id-range.ts'
import {podFiles, stage2} from './paths.ts'
import type {Pod} from './pods.ts'

export interface ExportRequest {
  readonly app: string
  readonly overwrite: boolean
  readonly path: string
}

/** Writes an app of a pod that has ended as an image: the manifest as it was, the root file system as it is now. */
export async function exportApp(
  {treestore}: Pick<PodEngine, 'treestore'>,
  pod: Pod<'exited' | 'exited garbage'>,
  {app, overwrite, path}: ExportRequest,
): Promise<void> {
  const contents = new PodContents(pod)
  const overlay = contents.usesOverlay
  const copy = join(pod.path, podFiles.stage1Rootfs, stage2(app), 'rootfs')
  if (!overlay && hasMounts(copy)) {
    const message = 'pod has remaining mountpoints. Only pods using overlayfs or with no mountpoints can be exported'
    throw new RktError('RKT_EXPORT_MOUNTS', message)
  }
  const target = resolve(path)
  if (!overwrite && existsSync(target)) throw targetExists(target)
  const {writeAci} = await import('../image/index.ts')
  const view = overlay ? openView(contents, app, treestore) : undefined
  try {
    const rootfs = view === undefined ? copy : `/proc/self/fd/${view}`
    await writeAci(target, {compress: true, ids: readIds(pod), manifest: contents.imageManifestBytes(app).toString(), overwrite, rootfs})
  } catch (cause) {
    if (cause instanceof RktError && cause.code === 'RKT_FILE_EXISTS') throw targetExists(target)
    throw new RktError('RKT_EXPORT', 'error building aci', {cause})
  } finally {
    if (view !== undefined) closeSync(view)
  }
}

const targetExists = (path: string) =>
  new RktError('RKT_EXPORT', 'error building aci', {
    cause: new Error('target file exists (try --overwrite)'),
    hint: `Give "--overwrite" to replace ${path}.`,
  })

/** The app's tree with what the app wrote over it, read-only, seen by nobody else. */
function openView(contents: PodContents, app: string, treestore: PodEngine['treestore']): number {
  const tree = contents.appTreeId(app)
  const lowers = treestore.lowers(tree)
  const upper = join(contents.path, podFiles.overlay, tree, 'upper', app)
  // A pod whose start failed has nothing of its own yet.
  return unwrap(native().overlayView(existsSync(upper) ? [upper, ...lowers] : lowers))
}

function hasMounts(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => mountPoint(line).startsWith(`${directory}/`))
}

const mountPoint = (line: string) =>
  (line.split(' ')[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

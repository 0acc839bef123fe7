import type {PodManifest, RuntimeApp} from '../appc/index.ts'
import {PodContents} from './contents.ts'
import {isMutable} from './manifest.ts'
import {movedAt, type Pod} from './pods.ts'
import {type AppReport, rawNumber, reportedApp} from './report.ts'

/** The apps of a pod as `app list` and `app status` tell of them: by the files that mark their moments (docs/mutable-pods.md). */
export function reportApps(pod: Pod): AppReport[] {
  const contents = new PodContents(pod)
  const manifest = contents.manifest()
  return manifest.apps.map((app) => reportOne(pod, contents, manifest, app))
}

function reportOne(pod: Pod, contents: PodContents, manifest: PodManifest, app: RuntimeApp): AppReport {
  const root = contents.stage1Root()
  const created = contents.appMoment(app.name, 'created', root)
  const {ended: finished, started} = created === undefined ? {} : contents.lastRun(app.name, root)
  const over = isMutable(manifest) && pod.state !== 'running' && created !== undefined
  const state =
    created === undefined ? 'unknown' : over || finished !== undefined ? 'exited' : started === undefined ? 'created' : 'running'
  const exitCode = finished === undefined ? undefined : (contents.exitStatus(app.name, root) ?? 1)
  const end = finished ?? (over && (pod.directory === 'exited-garbage' || pod.directory === 'garbage') ? movedAt(pod) : undefined)
  return {
    name: app.name,
    state,
    ...(created !== undefined && {created_at: rawNumber(created)}),
    ...(started !== undefined && {started_at: rawNumber(started)}),
    ...(end !== undefined && {finished_at: rawNumber(end)}),
    ...(exitCode !== undefined && {exit_code: exitCode}),
    ...reportedApp(app, manifest),
  }
}

import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import type {ImageManifest} from '../appc/index.ts'
import type {IdRange} from '../native/index.ts'
import type {TreeId} from '../treestore/index.ts'
import {PodContents} from './contents.ts'
import type {HeldPod} from './held-pod.ts'
import {readIds} from './id-range.ts'
import {appManifest} from './paths.ts'

export interface PreparedApp {
  readonly name: string
  /** The manifest of its image, as stored. */
  readonly manifest: Uint8Array
  /** Only where the pod uses overlays. */
  readonly tree?: TreeId | undefined
}

/** What has to be known of a pod to run it: what `prepare` knew, or what it left on the disk. */
export interface PreparedPod {
  readonly apps: readonly PreparedApp[]
  readonly overlay: boolean
  /** The pod's own, or undefined: it has those of the host. */
  readonly ids?: IdRange | undefined
  readonly stage1: {readonly manifest: ImageManifest; readonly tree: TreeId}
}

/** A prepared pod, read back from its directory. */
export function readPreparedPod(pod: HeldPod<'prepared'>): PreparedPod {
  const contents = new PodContents(pod)
  const overlay = contents.usesOverlay
  const apps = contents.manifest().apps.map(({name}) => ({
    manifest: readFileSync(join(pod.path, appManifest(name))),
    name,
    ...(overlay && {tree: contents.appTreeId(name)}),
  }))
  return {apps, ids: readIds(pod), overlay, stage1: {manifest: contents.stage1Manifest(), tree: contents.stage1TreeId()}}
}

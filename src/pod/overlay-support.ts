import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {native, unwrap} from '../native/index.ts'
import {readIfPresent} from './absent.ts'
import type {PodEngine} from './engine-slice.ts'
import {makeDirectories} from './files.ts'

/**
 * Why pods of this data directory cannot use overlays, null when they can. Found by trying where pods lie, which takes a mount and
 * its end: tens of milliseconds. That it worked is remembered for this file system until the next boot; only root writes there.
 */
export function overlayProblem({dataDir, pods}: Pick<PodEngine, 'dataDir' | 'pods'>): string | null {
  makeDirectories(pods.root, 0o750)
  const known = join(dataDir, 'overlay-works')
  const here = `${statSync(pods.root).dev} ${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')}`
  if (readIfPresent(known)?.toString('latin1') === here) return null
  const problem = unwrap(native().probeOverlay(pods.root))
  if (problem === null) remember(known, here)
  return problem
}

/** Why images cannot be shown with the ids of a pod, null when they can: tried on the store itself. */
export function idMapProblem({dataDir}: Pick<PodEngine, 'dataDir'>): string | null {
  return native().probeIdMap(join(dataDir, 'cas'))
}

function remember(path: string, text: string): void {
  try {
    writeFileSync(path, text, {mode: 0o640})
  } catch {
    // A file system that cannot be written to is asked again.
  }
}

import {posix} from 'node:path'
import type {Mount, Volume} from '../appc/index.ts'
import {RktError} from '../errors.ts'

/** An app's mounts: its own before those for every app; of several at one path the first counts. */
export function mergeMounts(own: readonly Mount[], everyApp: readonly Mount[]): Mount[] {
  const byPath = new Map<string, Mount>()
  for (const mount of [...own, ...everyApp]) {
    const path = cleanPath(mount.path)
    if (!byPath.has(path)) byPath.set(path, {...mount, path})
  }
  return [...byPath.values()]
}

/** Every mount names a volume that was given. */
export function checkMounts(mounts: Iterable<Mount>, volumes: readonly Volume[]): void {
  const known = new Set(volumes.map(({name}) => name))
  for (const {appVolume, path, volume} of mounts)
    if (!appVolume && !known.has(volume))
      throw new RktError('RKT_BAD_MOUNT', `dangling mount point "${path}": volume "${volume}" not found`)
}

function cleanPath(path: string): string {
  const normal = posix.normalize(path)
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}

import {posix} from 'node:path'
import {isDeepStrictEqual} from 'node:util'
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

/** The volumes that an app brings with it, each once. Different ones of one name are an error. */
export function ownVolumes(mounts: readonly Mount[]): Volume[] {
  const byName = new Map<string, Volume>()
  for (const {appVolume} of mounts) {
    if (!appVolume) continue
    const known = byName.get(appVolume.name)
    if (known && !isDeepStrictEqual(known, appVolume)) throw new RktError('RKT_BAD_MOUNT', `duplicate volume name "${appVolume.name}"`)
    byName.set(appVolume.name, appVolume)
  }
  return [...byName.values()]
}

/** Mounts by the names of such volumes, as mounts of these: no other app knows them. */
export const ofOwnVolumes = (mounts: readonly Mount[], own: readonly Volume[]): Mount[] =>
  mounts.map((mount) => {
    const appVolume = mount.appVolume ?? own.find(({name}) => name === mount.volume)
    return appVolume ? {...mount, appVolume} : mount
  })

function cleanPath(path: string): string {
  const normal = posix.normalize(path)
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}

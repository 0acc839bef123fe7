import {lstatSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {parseUuid} from '../appc/index.ts'
import {causeChain} from '../errors.ts'
import {nameableDirectories, PodContents, type Pods, podFiles} from '../pod/index.ts'
import {isToken} from './registration-api.ts'
import type {Registry} from './registry.ts'

/**
 * Learns anew of the pods that were registered before the service was started, out of their directories. One that cannot be read is
 * said and left out.
 */
export function restore(registry: Registry, pods: Pods, note: (line: string) => void): void {
  for (const {path, state, uuid} of pods.list(nameableDirectories)) {
    if (state === 'exited deleting') continue
    if (lstatSync(join(path, podFiles.metadataMarker), {throwIfNoEntry: false}) === undefined) continue
    try {
      const token = readFileSync(join(path, podFiles.metadataToken), 'latin1').trim()
      if (!isToken(token)) throw new Error('its token cannot be read')
      const contents = new PodContents({path})
      const manifest = contents.manifest()
      const images = new Map(manifest.apps.map(({name}) => [name as string, contents.imageManifest(name)]))
      registry.put({images, manifest, token, uuid: parseUuid(uuid)})
    } catch (error) {
      note(`pod "${uuid}" was registered and cannot be read any more: ${causeChain(error).at(-1)}`)
    }
  }
}

import {readFileSync} from 'node:fs'
import {checkOsArch, type PodManifest, parsePodManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import type {ImageKey, Store} from '../store/index.ts'
import {explain} from './explain.ts'
import type {FoundImage, ManifestSource} from './prepare.ts'

export type ManifestFile = Required<ManifestSource>

/** A pod manifest that somebody wrote: it is used to the letter. */
export function readManifestFile(path: string): ManifestFile {
  let text: Buffer
  try {
    text = readFileSync(path)
  } catch (error) {
    throw new RktError('RKT_POD_MANIFEST', 'error reading pod manifest', {cause: systemError('open', path, error)})
  }
  try {
    return {manifest: parsePodManifest(text, path), text}
  } catch (cause) {
    throw explain('error unmarshaling pod manifest', cause)
  }
}

/** The images that a pod manifest names, which must be in the store. */
export function imagesOf({apps}: PodManifest, store: Store): ImageKey[] {
  return apps.map(({image, name}) => {
    if (image.id === undefined) throw new RktError('RKT_POD_MANIFEST', `no image ID for app "${name}"`)
    try {
      return store.resolveKey(image.id)
    } catch (cause) {
      throw explain('error getting the image manifest from store', cause)
    }
  })
}

/** Refuses a pod manifest whose images cannot be run as it says. */
export function checkManifestFile({apps}: PodManifest, images: readonly FoundImage[]): void {
  for (const [index, {app, name}] of apps.entries()) {
    const image = images[index]?.manifest
    checkOsArch(image?.labels)
    if (!app && !image?.app)
      throw new RktError('RKT_POD_MANIFEST', `no app section in the pod manifest or the image manifest of app "${name}"`)
  }
}

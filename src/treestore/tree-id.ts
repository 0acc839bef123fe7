import {createHash} from 'node:crypto'
import type {ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {ImageKey, Store} from '../store/index.ts'

declare const brand: unique symbol

/** `deps-sha512-` and 64 hex digits: one archive with all that it depends on, at exactly these contents. `oci-` and the key: an OCI image. */
export type TreeId = string & {readonly [brand]: 'TreeId'}

export function isTreeId(text: string): text is TreeId {
  return /^(?:deps|oci)-sha512-[\da-f]{64}$/.test(text)
}

/** The id of a render list. */
export function treeIdOf(keys: readonly ImageKey[]): TreeId {
  return `deps-sha512-${createHash('sha512').update(keys.join(',')).digest('hex').slice(0, 64)}` as TreeId
}

/** One place of a render list; an image on which two others depend has two. */
export interface RenderEntry {
  readonly key: ImageKey
  /** The image's own path whitelist, null when it has none. */
  readonly own: readonly string[] | null
  /** The whitelists of the images that led here, each of which an entry must be in. */
  readonly inherited: readonly (readonly string[])[]
}

/** Images that depend on each other in a lattice multiply; no honest image comes near. */
const MAX_ENTRIES = 1000

/**
 * An image and all that it depends on, highest precedence first: behind each image its dependencies, the last one first, each with
 * its own behind it. An image that depends on itself, through whatever others, is an error that names the circle. `manifest` is the
 * top image's, for one that is not in the store yet.
 */
export function renderList(
  store: Pick<Store, 'findByName' | 'manifest' | 'resolveKey'>,
  top: ImageKey,
  manifest: ImageManifest = store.manifest(top),
): RenderEntry[] {
  const entries: RenderEntry[] = []
  const manifests = new Map<ImageKey, ImageManifest>([[top, manifest]])
  const manifestOf = (key: ImageKey) => {
    const known = manifests.get(key) ?? store.manifest(key)
    manifests.set(key, known)
    return known
  }

  const visit = (key: ImageKey, path: readonly ImageKey[], inherited: readonly (readonly string[])[]): void => {
    const {dependencies = [], name, pathWhitelist = []} = manifestOf(key)
    if (path.includes(key)) {
      const circle = [...path.slice(path.indexOf(key)), key].map((member) => manifestOf(member).name)
      throw new RktError('RKT_DEPENDENCY_CYCLE', `image "${name}" depends on itself: ${circle.join(' -> ')}`)
    }
    if (entries.length === MAX_ENTRIES) {
      throw new RktError('RKT_DEPENDENCIES_TOO_MANY', `image "${manifestOf(top).name}" has more than ${MAX_ENTRIES} dependencies`)
    }
    entries.push({inherited, key, own: pathWhitelist.length > 0 ? pathWhitelist : null})
    const passedOn = pathWhitelist.length > 0 ? [...inherited, pathWhitelist] : inherited
    for (const {imageID, imageName, labels = []} of dependencies.toReversed()) {
      let dependency: ImageKey
      try {
        dependency = imageID === undefined ? store.findByName(imageName, labels) : store.resolveKey(imageID)
      } catch (cause) {
        throw new RktError('RKT_DEPENDENCY_MISSING', `dependency "${imageName}" of image "${name}" is not in the store`, {
          cause,
          hint: `Fetch the image "${imageName}" first.`,
        })
      }
      visit(dependency, [...path, key], passedOn)
    }
  }
  visit(top, [], [])
  return entries
}

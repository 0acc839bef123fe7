import {parseImageString} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {type ImageKey, looksLikeImageId, type NamedImage, type Store} from '../store/index.ts'

/** One dash behind the name of a hash, ours or another. */
const IMAGE_ID = /^sha\d+-[^-]+$/

/** The stored image that an image ID, or a name with labels, of the command line means. */
export function resolveStoredImage(store: Pick<Store, 'findNamed' | 'resolveKey'>, text: string): ImageKey {
  return resolveStoredName(store, text).key
}

/** The same, and by which of its sources it has the name. */
export function resolveStoredName(store: Pick<Store, 'findNamed' | 'resolveKey'>, text: string): NamedImage {
  if (IMAGE_ID.test(text) || looksLikeImageId(text)) return {key: store.resolveKey(text)}
  const {labels, name} = parseImageString(text)
  try {
    return store.findNamed(name, labels)
  } catch (error) {
    if (!(error instanceof RktError && error.code === 'RKT_IMAGE_NOT_FOUND')) throw error
    // what a member of the group calls so may be looked at by root, after what root itself does
    return store.findNamed(name, labels, {unvouched: true})
  }
}

import {parseImageString} from '../appc/index.ts'
import {type ImageKey, looksLikeImageId, type Store} from '../store/index.ts'

/** One dash behind the name of a hash, ours or another. */
const IMAGE_ID = /^sha\d+-[^-]+$/

/** The stored image that an image ID, or a name with labels, of the command line means. */
export function resolveStoredImage(store: Pick<Store, 'findByName' | 'resolveKey'>, text: string): ImageKey {
  if (IMAGE_ID.test(text) || looksLikeImageId(text)) return store.resolveKey(text)
  const {labels, name} = parseImageString(text)
  // what is looked at is not believed
  return store.findByName(name, labels, {unvouched: true})
}

import {parseImageString} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {type ImageKey, looksLikeImageId, type Store} from '../store/index.ts'

/** The stored image that an image ID, or a name with labels, of the command line means. */
export function resolveStoredImage(store: Pick<Store, 'findByName' | 'resolveKey'>, text: string): ImageKey {
  if (looksLikeImageId(text)) {
    try {
      return store.resolveKey(text)
    } catch (cause) {
      throw new RktError(codeOf(cause), 'cannot resolve image ID', {cause, hint: hintOf(cause)})
    }
  }
  const {labels, name} = parseImageString(text)
  return store.findByName(name, labels)
}

function codeOf(cause: unknown): RktError['code'] {
  return cause instanceof RktError ? cause.code : 'RKT_IMAGE_NOT_FOUND'
}

function hintOf(cause: unknown): string | undefined {
  return cause instanceof RktError ? cause.hint : undefined
}

import {RktError} from '../errors.ts'

interface NotInStoreOptions {
  /** What is said of docker images. */
  readonly kind?: 'docker image' | 'image'
  /** A member of the group imported it, which root does not go by. */
  readonly unvouched?: boolean
}

/** The refusal where the store does not have an image and nobody else may be asked. */
export function notInStore(what: string, {kind = 'image', unvouched = false}: NotInStoreOptions = {}): RktError {
  const reason = 'either image was not found in the store or store was disabled and fetching from remote yielded nothing or it was disabled'
  return new RktError('RKT_IMAGE_NOT_FOUND', `unable to fetch ${kind} from ${what}: ${reason}`, {
    hint: unvouched
      ? 'One was imported by a member of the group and is not verified for root: allow the remote with --pull-policy=new, name it by its ID, or take it unverified with --insecure-options=image.'
      : 'Run "rkt image list" to see the images of the store, or allow the remote with --pull-policy=new.',
  })
}

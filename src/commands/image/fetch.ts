import Fetch from '../fetch.ts'

/** `rkt image fetch`: another name of `rkt fetch`. */
export default class ImageFetch extends Fetch {
  static override hidden = true
}

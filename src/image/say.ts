import type {Diagnostics} from '../diagnostics.ts'

/** What finding an image did, for those who ask with `--debug`. */
export function say(diagnostics: Diagnostics, message: string): void {
  diagnostics.debug('image', message)
}

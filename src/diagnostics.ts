/** Where a use case says what it does; the command line decides what is shown. Lines carry the prefix of the code that speaks. */
export interface Diagnostics {
  /** Shown always, on stderr: `PREFIX: MESSAGE`. */
  note(prefix: string, message: string): void
  /** Shown with `--debug`. */
  debug(prefix: string, message: string): void
}

export const silent: Diagnostics = {debug() {}, note() {}}

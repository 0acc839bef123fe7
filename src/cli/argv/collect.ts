/** The values that occurrences of options add up to. */

import {causeChain} from '../../errors.ts'
import type {FlagInput, FlagSpec} from '../flags.ts'
import {type Occurrence, OptionError} from './options.ts'

export class Values {
  readonly #flags: FlagInput
  readonly #given = new Map<string, unknown[]>()

  constructor(flags: FlagInput) {
    this.#flags = flags
  }

  /** Takes one occurrence; a value that does not fit is refused with the words as they were typed. */
  add({flag, name, text, word}: Occurrence): void {
    const earlier = this.#given.get(name) ?? []
    const value = explained({text, word}, () => flag.read(text, earlier))
    this.#given.set(name, flag.collects === 'all' ? [...earlier, ...(value as unknown[])] : [...earlier, value])
  }

  has(name: string): boolean {
    return this.#given.has(name)
  }

  /** Every option whose declaration passes the filter, with its default where it was not given. */
  result(wanted: (flag: FlagSpec) => boolean): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this.#flags)
        .filter(([, flag]) => wanted(flag))
        .map(([name, flag]) => [name, this.#valueOf(name, flag)]),
    )
  }

  #valueOf(name: string, flag: FlagSpec): unknown {
    const given = this.#given.get(name)
    if (flag.collects === 'last') return given ? given.at(-1) : flag.default
    return given ?? flag.default ?? (flag.optional ? undefined : [])
  }
}

/** Runs a reader and names the option in what it throws. */
export function explained<T>({text, word}: {text: string; word: string}, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new OptionError(`invalid argument ${JSON.stringify(text)} for ${word}: ${causeChain(error).join(': ')}`)
  }
}

/** A command's words as options and positional words. */

import type {FlagInput} from '../flags.ts'
import {explained, Values} from './collect.ts'
import {looksLikeOption, type Occurrence, readOption} from './options.ts'

export interface ParsedWords {
  readonly words: readonly string[]
  readonly values: Values
  /** Lines about deprecated options, without prefix. */
  readonly notices: readonly string[]
}

export interface ParseOptions {
  /** False: options end at the first positional word, and the rest is taken as it stands. */
  readonly interspersed: boolean
}

/** Reads all words; `--` ends the options. An option that must follow an image is refused here, where there is none before it. */
export function parseWords(argv: readonly string[], flags: FlagInput, {interspersed}: ParseOptions): ParsedWords {
  const values = new Values(flags)
  const notices: string[] = []
  const words: string[] = []
  for (let at = 0; at < argv.length; ) {
    const word = argv[at] ?? ''
    if (word === '--') return {notices, values, words: [...words, ...argv.slice(at + 1)]}
    if (looksLikeOption(word)) {
      const {next, occurrences} = readOption(argv, at, flags)
      for (const occurrence of occurrences) {
        refuseBeforeImages(occurrence)
        values.add(occurrence)
        notices.push(...deprecation(occurrence))
      }
      at = next
    } else if (interspersed) {
      words.push(word)
      at += 1
    } else {
      return {notices, values, words: argv.slice(at)}
    }
  }
  return {notices, values, words}
}

export function deprecation({flag, name}: Occurrence): string[] {
  return flag.deprecated ? [`Flag --${name} has been deprecated, ${flag.deprecated.message}`] : []
}

export function refuseBeforeImages(occurrence: Occurrence): void {
  const {flag, name} = occurrence
  if (flag.perImage !== true) return
  explained(occurrence, () => {
    throw new Error(flag.mustFollow ?? `--${name} must follow an image`)
  })
}

/** One option word at a time, by the rules of cli.md's option syntax: long options, `-h`, values behind `=` or in the next word. */

import type {FlagInput, FlagSpec} from '../flags.ts'
import {optionInstead} from './elsewhere.ts'

export interface Occurrence {
  readonly flag: FlagSpec
  readonly name: string
  readonly text: string
  /** The option word as it was typed. */
  readonly word: string
}

/** Words that are no options of the command; the texts are those that scripts know. */
export class OptionError extends Error {
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

/** The option that `words[at]` begins (several for `-ab`), and where the next word stands. */
export function readOption(words: readonly string[], at: number, flags: FlagInput): {occurrences: Occurrence[]; next: number} {
  const word = words[at] ?? ''
  return word.startsWith('--') ? readLong(word, words, at, flags) : readShort(word, words, at, flags)
}

function readLong(word: string, words: readonly string[], at: number, flags: FlagInput) {
  const body = word.slice(2)
  if (body === '' || body.startsWith('-') || body.startsWith('=')) throw new OptionError(`bad flag syntax: ${word}`)
  const equals = body.indexOf('=')
  const name = equals < 0 ? body : body.slice(0, equals)
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined
  if (!flag) throw new OptionError(`unknown flag: --${name}`, optionInstead(name, flags))
  if (equals >= 0) return {next: at + 1, occurrences: [{flag, name, text: body.slice(equals + 1), word}]}
  return withValue(flag, name, word, words, at)
}

function readShort(word: string, words: readonly string[], at: number, flags: FlagInput) {
  const occurrences: Occurrence[] = []
  for (let rest = word.slice(1); rest !== ''; ) {
    const [char = ''] = rest
    const found = Object.entries(flags).find(([, candidate]) => candidate.char === char)
    if (!found) throw new OptionError(`unknown shorthand flag: '${char}' in -${rest}`, optionInstead(char, flags))
    const [name, flag] = found
    rest = rest.slice(char.length)
    if (rest.startsWith('=')) return {next: at + 1, occurrences: [...occurrences, {flag, name, text: rest.slice(1), word}]}
    if (flag.bare === undefined) {
      if (rest !== '') return {next: at + 1, occurrences: [...occurrences, {flag, name, text: rest, word}]}
      const valued = withValue(flag, name, word, words, at)
      return {next: valued.next, occurrences: [...occurrences, ...valued.occurrences]}
    }
    occurrences.push({flag, name, text: flag.bare, word})
  }
  return {next: at + 1, occurrences}
}

function withValue(flag: FlagSpec, name: string, word: string, words: readonly string[], at: number) {
  if (flag.bare !== undefined) return {next: at + 1, occurrences: [{flag, name, text: flag.bare, word}]}
  const text = words[at + 1]
  if (text === undefined) throw new OptionError(`flag needs an argument: ${word}`)
  return {next: at + 2, occurrences: [{flag, name, text, word}]}
}

/** True for a word that the parser takes as an option or as the end of options. */
export const looksLikeOption = (word: string) => word.length > 1 && word.startsWith('-')

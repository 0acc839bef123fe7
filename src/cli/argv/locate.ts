/** Which command the words mean: options may stand before it, and its name may be cut short. */

import {commandsElsewhere} from './elsewhere.ts'

/** The commands of the documented tree; a prefix that one of them has never means a newer command. */
const documented = new Set(
  [
    'api-service app attach cat-manifest completion config enter export fetch gc help image list metadata-service prepare rm run',
    'run-prepared status stop trust version',
  ].flatMap((names) => names.split(' ')),
)
const documentedBelow: Readonly<Record<string, ReadonlySet<string>>> = {
  app: new Set('add exec list rm sandbox start status stop'.split(' ')),
  image: new Set('cat-manifest export extract fetch gc list render rm verify'.split(' ')),
}

export type Located =
  | {readonly kind: 'command'; readonly id: string; readonly argv: string[]}
  /** A group's word without a command of the group behind it. */
  | {readonly kind: 'group'; readonly id: string}
  /** No word that could be a command. */
  | {readonly kind: 'none'; readonly argv: string[]}
  | {readonly kind: 'unknown'; readonly word: string; readonly argv: string[]}

/** `ids` are the commands' names (`run`, `image list`), `switches` the options that never take the next word. */
export function locate(argv: readonly string[], ids: readonly string[], switches: ReadonlySet<string>): Located {
  const at = commandWord(argv, switches)
  const word = argv[at]
  if (word === undefined) return {argv: [...argv], kind: 'none'}
  const rest = argv.toSpliced(at, 1)
  const top = resolvePrefix(word, [...new Set(ids.map((id) => id.split(' ')[0] ?? ''))], documented)
  if (top === undefined) return {argv: [...argv], kind: 'unknown', word}
  if (ids.includes(top)) return {argv: rest, id: top, kind: 'command'}

  const below = commandWord(rest, switches)
  const names = ids.filter((id) => id.startsWith(`${top} `)).map((id) => id.slice(top.length + 1))
  const name = below < 0 ? undefined : resolvePrefix(rest[below] ?? '', names, documentedBelow[top] ?? new Set())
  if (name === undefined) return {id: top, kind: 'group'}
  return {argv: rest.toSpliced(below, 1), id: `${top} ${name}`, kind: 'command'}
}

/** Where the first word stands that is neither an option nor an option's value; -1 when there is none. */
export function commandWord(argv: readonly string[], switches: ReadonlySet<string>): number {
  let quoted = false
  let value = false
  for (const [at, word] of argv.entries()) {
    const begins: boolean = !quoted && (word.startsWith('"') || word.includes('="'))
    if (quoted || begins) {
      quoted = !word.endsWith('"') || (begins && word === '"')
      value = false
    } else if (value) {
      value = false
    } else if (word === '--') {
      return at + 1 < argv.length ? at + 1 : -1
    } else if (word.startsWith('-')) {
      value = !word.includes('=') && (word.startsWith('--') ? !switches.has(word.slice(2)) : word.length === 2 && word !== '-h')
    } else if (word !== '') {
      return at
    }
  }
  return -1
}

/** The name that `word` is or abbreviates without doubt; documented names are asked before the others. */
export function resolvePrefix(word: string, names: readonly string[], first: ReadonlySet<string>): string | undefined {
  if (names.includes(word)) return word
  const matches = names.filter((name) => name.startsWith(word))
  const preferred = matches.filter((name) => first.has(name))
  const candidates = preferred.length > 0 ? preferred : matches
  return candidates.length === 1 ? candidates[0] : undefined
}

/** Commands that somebody who typed `word` may have meant: another engine's word for them, or names near by two letters or begun by it. */
export function suggestions(word: string, names: readonly string[]): readonly string[] {
  const typed = word.toLowerCase()
  const known = commandsElsewhere.get(typed)
  if (known) return known
  return names.filter((name) => name.startsWith(typed) || editDistance(typed, name) <= 2)
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({length: b.length + 1}, (_, index) => index)
  for (const [row, char] of [...a].entries()) {
    const current = [row + 1]
    for (const [column, other] of [...b].entries()) {
      const replaced = (previous[column] ?? 0) + (char === other ? 0 : 1)
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1))
    }
    previous = current
  }
  return previous[b.length] ?? 0
}

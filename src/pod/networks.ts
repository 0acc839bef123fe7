import {RktError} from '../errors.ts'

const fail = (message: string) => new RktError('RKT_BAD_NETWORK', message)

/** Names that take no arguments. */
const special = ['all', 'host']

/** The networks of `--net`, validated: names or `NAME:ARGS`, each name once; `default` when there are none. */
export function parseNetworks(words: readonly string[]): readonly string[] {
  const seen = new Set<string>()
  for (const word of words) {
    const [name = '', args, ...more] = word.split(':')
    if (name === '') throw fail('netname must not be empty')
    if (more.length > 0) throw fail(`network "${name}" provided with invalid arguments: [${[args, ...more].join(' ')}]`)
    if (args !== undefined && special.includes(name)) throw fail(`arguments are not supported by special netname "${name}"`)
    if (seen.has(name)) throw fail(`found duplicate netname "${name}"`)
    seen.add(name)
  }
  return words.length === 0 ? ['default'] : words
}

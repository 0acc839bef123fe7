/** The bash completion script, generated from the commands' declarations. */

import type {Catalog, CommandClass} from '../catalog-entry.ts'
import type {FlagInput, FlagSpec} from '../flags.ts'
import {globalFlags, helpFlag} from '../globals.ts'
import {visibleFlags} from '../help.ts'
import {bashFunctions} from './bash-functions.ts'
import {words} from './words.ts'

export interface CompletedCommand {
  readonly id: string
  readonly flags: FlagInput
}

/** Loads every visible command for its options. */
export async function completedCommands(catalog: Catalog): Promise<CompletedCommand[]> {
  const visible = catalog.entries.filter(({hidden}) => !hidden)
  return await Promise.all(
    visible.map(async ({id, load}) => {
      const {default: command}: {default: CommandClass} = await load()
      return {flags: command.flags, id}
    }),
  )
}

export function bashCompletion(commands: readonly CompletedCommand[]): string {
  const shared: FlagInput = {...globalFlags, help: helpFlag}
  const tops = [...new Set(commands.map(({id}) => id.split(' ')[0] ?? ''))]
  const groups = tops.filter((top) => !commands.some(({id}) => id === top))
  const below = (group: string) => commands.filter(({id}) => id.startsWith(`${group} `)).map(({id}) => id.slice(group.length + 1))
  const everyFlag = [{flags: shared, id: ''}, ...commands].flatMap(({flags}) => visibleFlags(flags))
  return [
    '# bash completion for rkt; load it with: source <(rkt completion bash)',
    '',
    caseFunction('__rkt_commands', [['', tops.join(' ')], ...groups.map((group) => [group, below(group).join(' ')] as const)]),
    caseFunction('__rkt_options', [
      ['', optionWords(shared)],
      ...commands.filter(({flags}) => visibleFlags(flags).length > 0).map(({flags, id}) => [id, optionWords(flags)] as const),
    ]),
    caseFunction(
      '__rkt_values',
      [...new Map(everyFlag.map(([name, flag]) => [name, valueWords(flag)]))].filter(([, value]) => value !== ''),
    ),
    caseFunction(
      '__rkt_positional',
      Object.entries(words).filter(([id]) => commands.some((command) => command.id === id)),
    ),
    `__rkt_valued=' ${[...new Set(everyFlag.filter(([, flag]) => flag.bare === undefined).map(([name]) => name))].join(' ')} '`,
    '',
    bashFunctions,
  ].join('\n')
}

/** `--debug`, `--dir=`; both forms where the value is optional. */
function optionWords(flags: FlagInput): string {
  return visibleFlags(flags)
    .flatMap(([name, flag]) => (flag.bare === undefined ? [`--${name}=`] : flag.optional ? [`--${name}`, `--${name}=`] : [`--${name}`]))
    .join(' ')
}

function valueWords(flag: FlagSpec): string {
  if (flag.values) return flag.values.join(' ')
  if (flag.completes) return flag.completes === 'directory' ? '<directory>' : '<file>'
  return flag.type === 'boolean' ? 'true false' : ''
}

/** A shell function that prints the text belonging to its first argument. */
function caseFunction(name: string, cases: readonly (readonly [string, string])[]): string {
  const arms = cases.map(([key, value]) => `    '${key}') printf '%s' '${value}' ;;`)
  return [`${name}() {`, '  case "$1" in', ...arms, '  esac', '}', ''].join('\n')
}

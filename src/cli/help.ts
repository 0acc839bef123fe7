/** Help texts, made from declarations. */

import type {Catalog, CommandClass} from './catalog-entry.ts'
import type {FlagInput, FlagSpec} from './flags.ts'
import {globalFlags, helpFlag} from './globals.ts'
import {packageVersion} from './package-root.ts'
import {formatTable} from './table.ts'

type Section = readonly [title: string, rows: readonly (readonly string[])[]]

/** The help of rkt itself: its commands and the options that all of them have. */
export function rootHelp(catalog: Catalog): string {
  return render([
    ['NAME', [['', 'rkt - rkt, the application container runner']]],
    ['USAGE', [['', 'rkt [command]']]],
    ['VERSION', [['', packageVersion()]]],
    ['COMMANDS', commandRows(catalog, '')],
    ['DESCRIPTION', descriptionRows(rootDescription)],
    ['OPTIONS', optionRows({help: helpFlag}, 'rkt')],
    ['GLOBAL OPTIONS', optionRows(globalFlags)],
  ])
}

const rootDescription = `A CLI for running app containers on Linux.

To get the help on any specific command, run "rkt help command".`

/** The help of a word that only groups commands. */
export function groupHelp(catalog: Catalog, id: string): string {
  return render([
    ['NAME', [['', `${id} - ${catalog.groups[id] ?? ''}`]]],
    ['USAGE', [['', `rkt ${id} [command]`]]],
    ['COMMANDS', commandRows(catalog, `${id} `)],
    ['OPTIONS', optionRows({help: helpFlag}, id)],
    ['GLOBAL OPTIONS', optionRows(globalFlags)],
  ])
}

export function commandHelp(id: string, command: CommandClass): string {
  return render([
    ['NAME', [['', `${id} - ${command.summary}`]]],
    ['USAGE', usageLines(id, command).map((usage) => ['', usage])],
    ['DESCRIPTION', command.description === undefined ? [] : descriptionRows(command.description)],
    ['OPTIONS', optionRows({...command.flags, help: helpFlag}, id)],
    ['GLOBAL OPTIONS', optionRows(globalFlags)],
  ])
}

/** How the command is called: `rkt stop UUID...`. */
export function usageLines(id: string, command: CommandClass): string[] {
  const usages = command.usage === undefined ? [argumentUsage(command)] : [command.usage].flat()
  return usages.map((usage) => (usage.startsWith(`${id} `) || usage === id ? `rkt ${usage}` : `rkt ${id} ${usage}`.trimEnd()))
}

function argumentUsage({args, strict}: CommandClass): string {
  const words = Object.entries(args).map(([name, {required}]) => (required ? name.toUpperCase() : `[${name.toUpperCase()}]`))
  return words.join(' ') + (strict || words.length === 0 ? '' : '...')
}

function commandRows(catalog: Catalog, prefix: string): string[][] {
  return catalog.entries.filter(({hidden, id}) => !hidden && id.startsWith(prefix)).map(({id, summary}) => ['', id, summary])
}

const descriptionRows = (description: string) => description.split('\n').map((text) => ['', text])

function optionRows(flags: FlagInput, command?: string): string[][] {
  return visibleFlags(flags).map(([name, flag]) => [
    `${flag.char ? `  -${flag.char}, ` : '      '}${optionLabel(name, flag)}`,
    name === 'help' && command !== undefined ? `help for ${command}` : flag.description,
  ])
}

/** The options that help, manual pages and completion show, by name. */
export function visibleFlags(flags: FlagInput): [string, FlagSpec][] {
  return Object.entries(flags)
    .filter(([, {hidden}]) => !hidden)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** `--NAME=DEFAULT`, or `--NAME[=DEFAULT]` where the value is optional. */
export function optionLabel(name: string, {defaultText, optional}: FlagSpec): string {
  return optional ? `--${name}[=${defaultText}]` : `--${name}=${defaultText}`
}

function render(sections: readonly Section[]): string {
  const rows = sections
    .filter(([, content]) => content.length > 0)
    .flatMap(([title, content], index) => [...(index > 0 ? [['']] : []), [`${title}:`], ...content])
  return formatTable(rows)
}

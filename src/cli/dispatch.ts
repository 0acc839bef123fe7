/** From the words of a command line to one command, and from what it threw to an exit status. */

import {asRktError} from '../errors.ts'
import {locate, suggestions} from './argv/locate.ts'
import {OptionError} from './argv/options.ts'
import {parseWords} from './argv/parse.ts'
import type {Catalog} from './catalog-entry.ts'
import {HelpRequest, isDebugging, prefixOf} from './command.ts'
import {globalFlags, helpFlag} from './globals.ts'
import {line, writeStderr, writeStdout} from './output.ts'
import type {InstalledCommand} from './plugins/installed.ts'
import {errorLines} from './report-error.ts'
import {UsageError} from './usage-error.ts'

const misuse = 254
const noCommand = 2

/** Runs what `argv` asks for and says with which status to exit. */
export async function dispatch(argv: readonly string[], catalog: Catalog): Promise<number> {
  const located = locate(
    argv,
    catalog.entries.map(({id}) => id),
    catalog.switches,
  )
  if (located.kind === 'none') return await withoutCommand(located.argv, catalog)
  if (located.kind === 'unknown') return await unknownCommand(located.word, located.argv, catalog)
  if (located.kind === 'group') {
    const {groupHelp} = await import('./help.ts')
    writeStdout(groupHelp(catalog, located.id))
    return 0
  }
  const {argv: words, id} = located
  try {
    const command = await loadCommand(catalog, id)
    await command.run(words)
    return exitStatus()
  } catch (error) {
    return await shown(
      error,
      prefixOf(id),
      () => helpOf(catalog, id),
      () => usageOf(catalog, id),
    )
  }
}

/** The class of a built-in command, knowing its name. */
export async function loadCommand(catalog: Catalog, id: string) {
  const entry = catalog.entries.find((candidate) => candidate.id === id)
  if (!entry) throw new Error(`no command ${id}`)
  const {default: command} = await entry.load()
  command.id = id
  return command
}

export async function helpOf(catalog: Catalog, id: string): Promise<string> {
  const [{commandHelp}, command] = await Promise.all([import('./help.ts'), loadCommand(catalog, id)])
  return commandHelp(id, command)
}

/** What a misuse without a sentence of its own is told, behind the help that may have scrolled it away. */
async function usageOf(catalog: Catalog, id: string): Promise<string> {
  const [{usageLines}, command] = await Promise.all([import('./help.ts'), loadCommand(catalog, id)])
  return `the words do not fit: ${usageLines(id, command).join(', or ')}`
}

/** Shows what was thrown, the help where it was a misuse, and answers the exit status. */
async function shown(error: unknown, prefix: string, help: () => Promise<string>, usage?: () => Promise<string>): Promise<number> {
  if (error instanceof HelpRequest || error instanceof UsageError) writeStdout(await help())
  if (error instanceof HelpRequest) return 0
  if (error instanceof UsageError) {
    const message = error.message || (await usage?.())
    if (message) writeStderr(`Error: ${message}\n${error.hint === undefined ? '' : `${error.hint}\n`}\n`)
    return error.exitCode
  }
  for (const text of errorLines(error, prefix, {debug: isDebugging()})) writeStderr(line(text))
  return asRktError(error).exitCode
}

async function withoutCommand(argv: readonly string[], catalog: Catalog): Promise<number> {
  const {rootHelp} = await import('./help.ts')
  const help = rootHelp(catalog)
  try {
    const {values} = parseWords(argv, {...globalFlags, help: helpFlag}, {interspersed: true})
    writeStdout(help)
    if (values.result(() => true).help === true) return 0
    writeStderr('rkt: missing command\n')
    return noCommand
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    return await shown(new UsageError(error.message), 'rkt', async () => help)
  }
}

async function unknownCommand(word: string, argv: readonly string[], catalog: Catalog): Promise<number> {
  const {hasInstalledPlugins} = await import('./plugins/directory.ts')
  if (hasInstalledPlugins()) {
    const {findInstalled} = await import('./plugins/installed.ts')
    let found: InstalledCommand | undefined
    try {
      found = await findInstalled(argv, catalog.switches)
      await found?.run()
      if (found) return exitStatus()
    } catch (error) {
      return await shown(error, prefixOf(found?.id ?? 'plugins'), async () => (await found?.help()) ?? '')
    }
  }
  const names = [...new Set(catalog.entries.filter(({hidden}) => !hidden).map(({id}) => id.split(' ')[0] ?? ''))]
  const near = suggestions(word, names)
  const hint = near.length > 0 ? `\nDid you mean this?\n${near.map((name) => `\t${name}\n`).join('')}\n` : ''
  writeStderr(`Error: unknown command ${JSON.stringify(word)} for "rkt"\n${hint}Run 'rkt --help' for usage.\n`)
  return misuse
}

const exitStatus = () => Number(process.exitCode ?? 0)

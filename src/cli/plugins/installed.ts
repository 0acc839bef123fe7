/** Commands of plugins that users installed: looked for when no built-in command has the word. */

import type {Config, Command as OclifCommand} from '@oclif/core'
import {RktError} from '../../errors.ts'
import {locate} from '../argv/locate.ts'
import type {CommandClass} from '../catalog-entry.ts'
import {EngineCommand} from '../command.ts'
import {installedPlugins, loadPluginConfig} from './config.ts'

export interface InstalledCommand {
  readonly id: string
  help(): Promise<string>
  run(): Promise<void>
}

/** The installed command that `argv` means; undefined when there is none. */
export async function findInstalled(argv: readonly string[], switches: ReadonlySet<string>): Promise<InstalledCommand | undefined> {
  const config = await loadPluginConfig()
  const names = new Set(installedPlugins(config).map(({name}) => name))
  const commands = config.commands.filter(({pluginName}) => pluginName !== undefined && names.has(pluginName))
  const ids = commands.map(({id}) => id.replaceAll(':', ' '))
  const located = locate(argv, ids, switches)
  const found = located.kind === 'command' ? commands[ids.indexOf(located.id)] : undefined
  if (located.kind !== 'command' || !found) return undefined
  const {argv: words, id} = located
  const command = await found.load()
  if (!isEngineCommand(command)) return {help: async () => '', id, run: () => runOclifCommand(config, found, words)}
  command.id = id
  return {
    help: async () => (await import('../help.ts')).commandHelp(id, command),
    id,
    run: async () => void (await command.run(words, config)),
  }
}

async function runOclifCommand(config: Config, command: OclifCommand.Loadable, words: string[]): Promise<void> {
  const {Errors, Help} = await import('@oclif/core')
  if (words.some((word) => word === '--help' || word === '-h')) return await new Help(config).showCommandHelp(command)
  try {
    await config.runCommand(command.id, words, command)
  } catch (error) {
    // oclif ends a command by throwing; its other errors become ours.
    if (error instanceof Errors.ExitError) process.exitCode = error.oclif.exit ?? 0
    else if (error instanceof Errors.CLIError) throw new RktError('RKT_PLUGIN_FAILED', error.message)
    else throw error
  }
}

/** True for a command that stands on our own base: it parses, shows its help and fails as ours do. */
function isEngineCommand(command: object): command is CommandClass {
  return Object.prototype.isPrototypeOf.call(EngineCommand, command)
}

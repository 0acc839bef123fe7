/** Commands of plugins that users installed: looked for when no built-in command has the word. */

import type {Command as OclifCommand} from '@oclif/core'
import {RktError} from '../../errors.ts'
import {locate} from '../argv/locate.ts'
import {EngineCommand} from '../command.ts'
import {installedPlugins, loadPluginConfig} from './config.ts'

/** Runs the installed command that `argv` means; false when there is none. */
export async function runInstalled(argv: readonly string[], switches: ReadonlySet<string>): Promise<boolean> {
  const config = await loadPluginConfig()
  const names = new Set(installedPlugins(config).map(({name}) => name))
  const commands = config.commands.filter(({pluginName}) => pluginName !== undefined && names.has(pluginName))
  const located = locate(
    argv,
    commands.map(({id}) => id.replaceAll(':', ' ')),
    switches,
  )
  const found = located.kind === 'command' ? commands.find(({id}) => id.replaceAll(':', ' ') === located.id) : undefined
  if (located.kind !== 'command' || !found) return false
  const command = await found.load()
  command.id = located.id
  if (isEngineCommand(command)) {
    await command.run(located.argv, config)
    return true
  }
  const {Errors, Help} = await import('@oclif/core')
  if (located.argv.some((word) => word === '--help' || word === '-h')) {
    await new Help(config).showCommandHelp(found)
    return true
  }
  try {
    await config.runCommand(found.id, located.argv, found)
  } catch (error) {
    // oclif ends a command by throwing; its other errors become ours.
    if (error instanceof Errors.ExitError) process.exitCode = error.oclif.exit ?? 0
    else if (error instanceof Errors.CLIError) throw new RktError('RKT_PLUGIN_FAILED', error.message)
    else throw error
  }
  return true
}

/** True for a command that stands on our own base: it parses, shows its help and fails as ours do. */
function isEngineCommand(command: OclifCommand.Class): boolean {
  return Object.prototype.isPrototypeOf.call(EngineCommand, command)
}

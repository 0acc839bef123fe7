/** What few commands need, loaded when it is asked for: no other command pays for it. */

import {hasInstalledPlugins} from './plugins/directory.ts'

/** What `rkt help WORDS` prints. */
export async function helpText(words: readonly string[]): Promise<string> {
  return (await import('./help-topic.ts')).helpText(words)
}

/** The bash completion script for all built-in commands. */
export async function completionScript(): Promise<string> {
  const [{bashCompletion, completedCommands}, {catalog}] = await Promise.all([import('./completion/bash.ts'), import('./catalog.ts')])
  return bashCompletion(await completedCommands(catalog))
}

export interface InstalledPlugin {
  readonly name: string
  readonly version: string
  readonly kind: 'link' | 'user'
  readonly directory: string
}

/** What was installed or linked beside the built-in plugins. */
export async function listPlugins(): Promise<InstalledPlugin[]> {
  if (!hasInstalledPlugins()) return []
  const {installedPlugins, loadPluginConfig} = await import('./plugins/config.ts')
  return installedPlugins(await loadPluginConfig())
}

/** Runs one of the commands of oclif's plugin manager. */
export async function managePlugins(action: 'install' | 'link' | 'uninstall', words: string[]): Promise<void> {
  const {loadPluginConfig} = await import('./plugins/config.ts')
  await (await loadPluginConfig()).runCommand(`plugins:${action}`, words)
}

/** Refuses, for root, a directory that another user could change. */
export {assertOnlyRootWrites} from './plugins/directory.ts'

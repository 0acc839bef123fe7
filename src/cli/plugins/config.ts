/** oclif's view of rkt: only for installed plugins and for the commands that manage them. @oclif/core is loaded when it is asked for. */

import {existsSync} from 'node:fs'
import type {Config} from '@oclif/core'
import {packageRoot, packageVersion} from '../package-root.ts'
import {assertOnlyRootWrites, pluginDirectory} from './directory.ts'

/** The installed plugins with their commands; as root only if no other user can write them. */
export async function loadPluginConfig(): Promise<Config> {
  await import('../engine-hooks.ts')
  const {Config, settings} = await import('@oclif/core')
  // A linked plugin is taken as it stands.
  settings.enableAutoTranspile = false
  const directory = pluginDirectory()
  if (existsSync(directory)) assertOnlyRootWrites(directory)
  // oclif makes itself a new configuration for each command that it runs; the environment is the one way to tell it of the directory.
  process.env.RKT_DATA_DIR = directory
  const config = new Config({
    devPlugins: false,
    pjson: {
      dependencies: {'@oclif/plugin-plugins': '*'},
      name: 'rkt',
      oclif: {bin: 'rkt', dirname: 'rkt', plugins: ['@oclif/plugin-plugins'], topicSeparator: ' '},
      version: packageVersion(),
    },
    root: packageRoot(),
  })
  await config.load()
  for (const {directory: root} of installedPlugins(config)) assertOnlyRootWrites(root)
  return config
}

/** What was installed or linked beside the built-in plugins. */
export function installedPlugins(config: Config): {name: string; version: string; kind: 'link' | 'user'; directory: string}[] {
  return config
    .getPluginsList()
    .flatMap(({name, root, type, version}) => (type === 'user' || type === 'link' ? [{directory: root, kind: type, name, version}] : []))
}

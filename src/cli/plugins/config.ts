/** oclif's view of rkt: only for installed plugins and for the commands that manage them. @oclif/core is loaded when it is asked for. */

import {existsSync} from 'node:fs'
import type {Config} from '@oclif/core'
import {packageRoot, packageVersion} from '../package-root.ts'
import {assertOnlyRootWrites, pluginDirectory} from './directory.ts'

/** The installed plugins with their commands; as root only if no other user can write them. */
export async function loadPluginConfig(): Promise<Config> {
  await import('../engine-hooks.ts')
  const oclif = await import('@oclif/core')
  class PluginConfig extends oclif.Config {
    /** Plugins have a directory of their own kind; caches and settings lie where oclif puts them. */
    override dir(category: 'cache' | 'config' | 'data'): string {
      return category === 'data' ? pluginDirectory() : super.dir(category)
    }
  }

  const directory = pluginDirectory()
  if (existsSync(directory)) assertOnlyRootWrites(directory)
  const config = new PluginConfig({
    devPlugins: false,
    pjson: {
      name: '@rkt/engine',
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

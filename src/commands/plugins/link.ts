import {resolve} from 'node:path'
import {Args, assertOnlyRootWrites, EngineCommand, Flags, managePlugins} from '../../cli/index.ts'

export default class PluginsLink extends EngineCommand {
  static override args = {path: Args.string({description: "the plugin's directory", required: true})}
  static override flags = {install: Flags.boolean({description: "install the plugin's dependencies by its lock file"})}
  static override summary = 'Use a plugin from a directory, as it stands there'
  static override usage = 'PATH'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(PluginsLink)
    const path = resolve(args.path)
    assertOnlyRootWrites(path)
    await managePlugins('link', [flags.install ? '--install' : '--no-install', path])
  }
}

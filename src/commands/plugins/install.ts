import {Args, EngineCommand, Flags, managePlugins} from '../../cli/index.ts'

export default class PluginsInstall extends EngineCommand {
  static override args = {name: Args.string({description: 'name of an npm package, or its git URL', required: true})}
  static override flags = {force: Flags.boolean({description: 'fetch the package even if a cached copy exists'})}
  static override summary = 'Install a plugin from the npm registry'
  static override usage = 'NAME[@VERSION]|URL'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(PluginsInstall)
    await managePlugins('install', flags.force ? ['--force', args.name] : [args.name])
  }
}

import {Args, EngineCommand, managePlugins} from '../../cli/index.ts'

export default class PluginsUninstall extends EngineCommand {
  static override args = {name: Args.string({description: 'name of the installed or linked plugin', required: true})}
  static override summary = 'Remove an installed or linked plugin'
  static override usage = 'NAME'

  async run(): Promise<void> {
    const {args} = await this.parse(PluginsUninstall)
    await managePlugins('uninstall', [args.name])
  }
}

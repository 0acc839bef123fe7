import {EngineCommand, Flags, formatTable, listPlugins} from '../../cli/index.ts'

export default class PluginsList extends EngineCommand {
  static override flags = {'no-legend': Flags.boolean({description: 'suppress a legend with the list'})}
  static override summary = 'List installed plugins'

  async run(): Promise<void> {
    const {flags} = await this.parse(PluginsList)
    const legend = flags['no-legend'] ? [] : [['NAME', 'VERSION', 'KIND', 'DIRECTORY']]
    const plugins = await listPlugins()
    this.write(formatTable([...legend, ...plugins.map(({directory, kind, name, version}) => [name, version, kind, directory])]))
  }
}

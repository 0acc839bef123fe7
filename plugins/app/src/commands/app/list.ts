import {Args, EngineCommand, Flags, formatTable, reportApps} from '@rkt/engine'
import {explained, required} from '../../failures.ts'

export default class AppList extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it'})}
  static override flags = {'no-legend': Flags.boolean({description: 'suppress a legend with the list'})}
  static override summary = 'List all apps that are in a pod'
  static override usage = 'UUID'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(AppList)
    const text = required(args.pod, 'must provide the pod UUID', 1)
    await using engine = await this.openEngine()
    const apps = await explained('error listing apps', async () => reportApps(engine.pods.get(text)), 1)
    const rows = apps.map(({name, state}) => [name, state])
    this.write(formatTable(flags['no-legend'] ? rows : [['NAME', 'STATE'], ...rows]))
  }
}

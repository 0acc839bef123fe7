import {EngineCommand, Flags} from '../cli/index.ts'
import {RktError} from '../errors.ts'

export default class Config extends EngineCommand {
  static override flags = {'pretty-print': Flags.boolean({default: true, description: 'apply indent to format the output'})}
  static override summary = 'Print configuration for each stage in JSON format'

  async run(): Promise<void> {
    const {flags} = await this.parse(Config)
    const {configReport, loadConfig} = await import('../config/index.ts')
    const {localConfig, systemConfig, userConfig} = this.globals
    try {
      const report = configReport(loadConfig({local: localConfig, system: systemConfig, user: userConfig}))
      this.print(JSON.stringify(report, null, flags['pretty-print'] ? '\t' : undefined))
    } catch (cause) {
      throw new RktError('RKT_BAD_CONFIG', 'cannot get configuration', {cause})
    }
  }
}

import {EngineCommand, helpText} from '../cli/index.ts'

export default class Help extends EngineCommand {
  static override description = 'Help provides help for any command in the application.\nType "rkt help COMMAND" for full details.'
  static override strict = false
  static override summary = 'Help about any command'
  static override usage = '[COMMAND]'

  async run(): Promise<void> {
    const {argv} = await this.parse(Help)
    this.write(await helpText(argv))
  }
}

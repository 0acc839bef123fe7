import {completionScript, EngineCommand} from '../cli/index.ts'
import {RktError} from '../errors.ts'

export default class Completion extends EngineCommand {
  static override description =
    'Completion outputs completion code for the given shell. Load it with\n\n\tsource <(rkt completion bash)\n\nOnly bash is supported.'
  static override strict = false
  static override summary = 'Output shell completion code for the specified shell'
  static override usage = 'SHELL'

  async run(): Promise<void> {
    const {argv} = await this.parse(Completion)
    const [shell] = argv
    if (shell === undefined) throw new RktError('RKT_NO_SHELL', 'shell type is not specified')
    if (argv.length > 1) throw new RktError('RKT_BAD_ARGUMENTS', 'too many arguments, only shell type is expected')
    if (shell !== 'bash') throw new RktError('RKT_UNKNOWN_SHELL', `'${shell}' shell is not supported`)
    this.write(await completionScript())
  }
}

import {EngineCommand, Flags, formatDuration} from '../cli/index.ts'
import {collectGarbage} from '../pod/index.ts'

const minute = 60_000
const hour = 60 * minute

export default class Gc extends EngineCommand {
  static override description = `This is intended to be run periodically from a timer or cron job.

Garbage collection is a 2-step process. First, stopped pods are moved to the
garbage by one invocation of the gc command. A subsequent invocation will clean
up the pod, assuming the pod has been in the garbage for more time than specified
by the grace period option.`
  static override flags = {
    'expire-prepared': Flags.duration({default: 24 * hour, description: 'duration to wait before expiring prepared pods'}),
    'grace-period': Flags.duration({default: 30 * minute, description: 'duration to wait before discarding inactive pods from garbage'}),
    'mark-only': Flags.boolean({
      description: 'if set to true, then the exited/aborted pods will be moved to the garbage directories without actually deleting them',
    }),
  }
  static override summary = 'Garbage collect rkt pods no longer in use'
  static override usage = '[--grace-period=duration] [--expire-prepared=duration]'

  async run(): Promise<void> {
    const {flags} = await this.parse(Gc)
    this.requireNamespace()
    await using engine = await this.openEngine()
    const options = {
      expirePreparedMs: flags['expire-prepared'],
      formatDuration,
      gracePeriodMs: flags['grace-period'],
      markOnly: flags['mark-only'],
    }
    await collectGarbage(engine, options, {note: (line) => this.note(line), print: (line) => this.print(line)})
  }
}

import {EngineCommand, Flags} from '@rkt/engine'
import {collectImages} from '../../collect-images.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export default class ImageGc extends EngineCommand {
  static override flags = {
    explain: Flags.boolean({description: 'say of each image, tree and layer that stays what keeps it'}),
    'grace-period': Flags.duration({default: DAY_MS, description: 'duration to wait since an image was last used before removing it'}),
  }
  static override summary = 'Garbage collect local store'

  async run(): Promise<void> {
    const {flags} = await this.parse(ImageGc)
    await using engine = await this.openEngine()
    const report = {note: (line: string) => this.note(line), print: (line: string) => this.print(line)}
    await collectImages(engine, {explain: flags.explain, graceMs: flags['grace-period']}, report)
  }
}

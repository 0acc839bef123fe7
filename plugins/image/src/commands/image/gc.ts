import {EngineCommand, Flags} from '@rkt/engine'
import {collectImages} from '../../collect-images.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export default class ImageGc extends EngineCommand {
  static override flags = {
    'grace-period': Flags.duration({default: DAY_MS, description: 'duration to wait since an image was last used before removing it'}),
  }
  static override summary = 'Garbage collect local store'

  async run(): Promise<void> {
    const {flags} = await this.parse(ImageGc)
    await using engine = await this.openEngine()
    await collectImages(engine, flags['grace-period'], {note: (line) => this.note(line), print: (line) => this.print(line)})
  }
}

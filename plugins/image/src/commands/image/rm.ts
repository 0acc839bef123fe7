import {causeChain, EngineCommand, type ImageKey, RktError, resolveStoredImage} from '@rkt/engine'
import {removeImages} from '../../remove-images.ts'

export default class ImageRm extends EngineCommand {
  static override strict = false
  static override summary = 'Remove one or more images with the given IDs or image names from the local store'
  static override usage = 'IMAGE...'

  async run(): Promise<void> {
    const {argv} = await this.parse(ImageRm)
    if (argv.length === 0) throw new RktError('RKT_BAD_ARGUMENTS', 'must provide at least one image ID')
    await using engine = await this.openEngine()
    const keys = argv.flatMap((reference): ImageKey[] => {
      try {
        return [resolveStoredImage(engine.store, reference)]
      } catch (error) {
        this.note(causeChain(error).at(-1) ?? '')
        return []
      }
    })
    if (keys.length > 0) await removeImages(engine, keys, {note: (line) => this.note(line), print: (line) => this.print(line)})
  }
}

import {causeChain, EngineCommand, type NamedImage, RktError, resolveStoredName} from '@rkt/engine'
import {removeImages} from '../../remove-images.ts'

export default class ImageRm extends EngineCommand {
  static override description =
    'An image that has several names loses the one that is given; with the last, or given by its ID, it is removed. The image of a running ' +
    'pod stays.'
  static override strict = false
  static override summary = 'Remove one or more images with the given IDs or image names from the local store'
  static override usage = 'IMAGE...'

  async run(): Promise<void> {
    const {argv} = await this.parse(ImageRm)
    if (argv.length === 0) throw new RktError('RKT_BAD_ARGUMENTS', 'must provide at least one image ID')
    await using engine = await this.openEngine()
    const images = argv.flatMap((reference): NamedImage[] => {
      try {
        return [resolveStoredName(engine.store, reference)]
      } catch (error) {
        this.note(causeChain(error).at(-1) ?? '')
        return []
      }
    })
    if (images.length > 0) await removeImages(engine, images, {note: (line) => this.note(line), print: (line) => this.print(line)})
  }
}

import {Args, EngineCommand, exportImage, Flags, resolveStoredImage} from '@rkt/engine'

export default class ImageExport extends EngineCommand {
  static override args = {
    image: Args.string({description: 'ID or name of a stored image', required: true}),
    output: Args.string({description: 'the ACI file to write', required: true}),
  }
  static override flags = {overwrite: Flags.boolean({description: 'overwrite output ACI'})}
  static override summary = 'Export a stored image to an ACI file'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ImageExport)
    await using engine = await this.openEngine()
    await exportImage(engine.store, resolveStoredImage(engine.store, args.image), args.output, flags.overwrite)
  }
}

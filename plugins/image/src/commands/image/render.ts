import {Args, EngineCommand, Flags, renderImage, resolveStoredName} from '@rkt/engine'

export default class ImageRender extends EngineCommand {
  static override args = {
    image: Args.string({description: 'ID or name of a stored image', required: true}),
    output: Args.string({description: 'the directory to write', required: true}),
  }
  static override flags = {
    overwrite: Flags.boolean({description: 'overwrite output directory'}),
    'rootfs-only': Flags.boolean({description: 'render rootfs only'}),
  }
  static override summary = 'Render a stored image to a directory with all its dependencies'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ImageRender)
    await using engine = await this.openEngine()
    const image = resolveStoredName(engine.store, args.image)
    await renderImage(engine, image, args.output, {overwrite: flags.overwrite, rootfsOnly: flags['rootfs-only']})
  }
}

import {Args, EngineCommand, extractImage, Flags, resolveStoredName} from '@rkt/engine'

export default class ImageExtract extends EngineCommand {
  static override args = {
    image: Args.string({description: 'ID or name of a stored image', required: true}),
    output: Args.string({description: 'the directory to write', required: true}),
  }
  static override flags = {
    overwrite: Flags.boolean({description: 'overwrite output directory'}),
    'rootfs-only': Flags.boolean({description: 'extract rootfs only'}),
  }
  static override summary = 'Extract a stored image to a directory'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ImageExtract)
    await using engine = await this.openEngine()
    const image = resolveStoredName(engine.store, args.image)
    await extractImage(engine, image, args.output, {overwrite: flags.overwrite, rootfsOnly: flags['rootfs-only']})
  }
}

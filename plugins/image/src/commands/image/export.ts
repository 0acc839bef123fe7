import {Args, EngineCommand, exportImage, Flags, resolveStoredName} from '@rkt/engine'

export default class ImageExport extends EngineCommand {
  static override args = {
    image: Args.string({description: 'ID or name of a stored image', required: true}),
    output: Args.string({description: 'the ACI file to write', required: true}),
  }
  static override description =
    'An image that came from a registry, an OCI layout or an archive of Docker is flattened into one ACI. With --oci it is written with ' +
    'its layers, byte for byte as they came, as an OCI image layout in a tar archive.'
  static override flags = {
    oci: Flags.boolean({description: 'write an OCI image layout as a tar archive'}),
    overwrite: Flags.boolean({description: 'overwrite output ACI'}),
  }
  static override summary = 'Export a stored image to an ACI file'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ImageExport)
    await using engine = await this.openEngine()
    await exportImage(engine, resolveStoredName(engine.store, args.image), args.output, {
      format: flags.oci ? 'oci' : 'aci',
      overwrite: flags.overwrite,
    })
  }
}

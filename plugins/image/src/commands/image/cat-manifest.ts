import {tmpdir} from 'node:os'
import {Args, type Engine, EngineCommand, Flags, manifestOfFile, resolveStoredName} from '@rkt/engine'

export default class ImageCatManifest extends EngineCommand {
  static override args = {image: Args.string({description: 'ID or name of a stored image, or an ACI file', required: true})}
  static override flags = {'pretty-print': Flags.boolean({default: true, description: 'apply indent to format the output'})}
  static override summary = 'Inspect and print the image manifest'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ImageCatManifest)
    await using engine = await this.openEngine()
    // a stored image's name never ends so
    const text = args.image.endsWith('.aci') ? await manifestOfFile(args.image, tmpdir()) : await shownManifest(engine.store, args.image)
    this.print(flags['pretty-print'] ? JSON.stringify(JSON.parse(text), null, '\t') : text)
  }
}

async function shownManifest(store: Engine['store'], text: string): Promise<string> {
  const {key, source} = resolveStoredName(store, text)
  return (await store.shownManifest(key, source)).toString()
}

import {encodePodManifest} from '../appc/index.ts'
import {EngineCommand, Flags} from '../cli/index.ts'
import {PodContents} from '../pod/index.ts'
import {oneUuid, uuidFileFlag} from './_pods.ts'

export default class CatManifest extends EngineCommand {
  static override flags = {
    ...uuidFileFlag,
    'pretty-print': Flags.boolean({default: true, description: 'apply indent to format the output'}),
  }
  static override strict = false
  static override summary = 'Inspect and print the pod manifest'
  static override usage = 'UUID | --uuid-file FILE'

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(CatManifest)
    const text = oneUuid(argv, flags['uuid-file'])
    await using engine = await this.openEngine()
    const manifest = new PodContents(engine.pods.get(text)).manifest()
    this.print(encodePodManifest(manifest, flags['pretty-print'] ? {indent: '\t'} : {}))
  }
}

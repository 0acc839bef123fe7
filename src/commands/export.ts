import {EngineCommand, Flags, UsageError} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {chooseApp} from '../options/index.ts'
import {exportApp, isInState} from '../pod/index.ts'

export default class Export extends EngineCommand {
  static override description = `UUID should be the uuid of an exited pod. The state of the app, with what it wrote, becomes an image.`
  static override flags = {
    app: Flags.string({default: '', description: 'name of the app to export within the specified pod'}),
    overwrite: Flags.boolean({description: 'overwrite output ACI'}),
  }
  static override strict = false
  static override summary = 'Export an app from an exited pod to an ACI file'
  static override usage = '[--app=APPNAME] UUID OUTPUT_ACI_FILE'

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(Export)
    const [text, path, ...more] = argv
    if (text === undefined || path === undefined || more.length > 0) throw new UsageError()
    if (!path.endsWith('.aci')) throw new RktError('RKT_BAD_ARGUMENTS', `extension must be .aci (given ${path})`)
    await using engine = await this.openEngine()
    const pod = engine.pods.get(text)
    if (!isInState(pod, 'exited', 'exited garbage'))
      throw new RktError('RKT_POD_STATE', 'pod is not exited. Only exited pods can be exported', {
        hint: pod.state === 'running' ? `Stop it first, with "rkt stop ${pod.uuid}".` : undefined,
      })
    const app = chooseApp(pod, flags.app, 'export', (line) => this.note(line))
    await exportApp(engine, pod, {app, overwrite: flags.overwrite, path})
  }
}

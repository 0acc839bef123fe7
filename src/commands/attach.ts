import {Args, EngineCommand, Flags} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {chooseApp} from '../options/index.ts'
import {attachToApp, isInState, listEndpoints, notRunning, parseAttachMode} from '../pod/index.ts'
import {formatFlag, formatJson} from './_format.ts'

export default class Attach extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override description =
    `Attaches to the streams of an app that was started with --stdin, --stdout or --stderr of mode stream or tty.
The mode is "auto" (all that there is), "list" (says what there is), or a comma-separated list of stdin, stdout, stderr, or of tty, tty-in,
tty-out. ^]^]^] detaches from a terminal; the app goes on.`
  static override flags = {
    app: Flags.string({default: '', description: 'name of the app to attach to within the specified pod'}),
    ...formatFlag,
    mode: Flags.string({
      default: 'auto',
      description: 'attach mode: auto, list, or a comma-separated list of stdin, stdout, stderr, or of tty, tty-in, tty-out',
      values: ['auto', 'list', 'stdin', 'stdout', 'stderr', 'tty', 'tty-in', 'tty-out'],
    }),
  }
  static override summary = 'Attach to an app running within a rkt pod'
  static override usage = '[--app=APPNAME] [--mode=MODE] UUID'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Attach)
    this.requireRoot()
    const mode = parseAttachMode(flags.mode)
    await using engine = await this.openEngine()
    const pod = engine.pods.get(args.pod)
    if (!isInState(pod, 'running')) throw notRunning(pod)
    const app = chooseApp(pod, flags.app, 'attach', (line) => this.note(line))
    try {
      if (mode !== 'list') return await attachToApp(engine, pod, app, mode)
      const {targets, text} = await listEndpoints(engine, pod, app)
      if (!targets) this.write(text)
      else if (flags.format === undefined) for (const {name} of targets) this.print(name)
      else this.print(formatJson({version: 1, targets}, flags.format))
    } catch (cause) {
      throw new RktError('RKT_ATTACH', 'attach failed', {cause})
    }
  }
}

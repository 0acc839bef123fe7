import {Args, EngineCommand, Flags} from '../cli/index.ts'
import {chooseApp} from '../options/index.ts'
import {enterPod, isInState, notRunning} from '../pod/index.ts'

export default class Enter extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override description = 'By default the CMD that is run is /bin/bash.'
  static override flags = {
    app: Flags.string({default: '', description: 'name of the app to enter within the specified pod'}),
  }
  static override interspersed = false
  static override strict = false
  static override summary = 'Enter the namespaces of an app within a rkt pod'
  static override usage = '[--app=APPNAME] UUID [CMD [ARGS ...]]'

  async run(): Promise<void> {
    const {args, argv, flags} = await this.parse(Enter)
    this.requireRoot()
    await using engine = await this.openEngine()
    const pod = engine.pods.get(args.pod)
    if (!isInState(pod, 'running')) throw notRunning(pod)
    const app = chooseApp(pod, flags.app, 'enter', (line) => this.note(line))
    const command = argv.slice(1)
    if (command.length === 0) {
      this.note('no command specified, assuming "/bin/bash"')
      command.push('/bin/bash')
    }
    await enterPod(engine, pod, {app, command})
  }
}

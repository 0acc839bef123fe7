import {Args, chooseApp, EngineCommand, enterPod, Flags, readyPod} from '@rkt/engine'

export default class AppExec extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override description = 'By default the CMD that is run is /bin/bash.'
  static override flags = {app: Flags.string({default: '', description: 'name of the app to execute the command in'})}
  static override interspersed = false
  static override strict = false
  static override summary = 'Execute commands in the given app'
  static override usage = '[--app=NAME] UUID [CMD [ARGS ...]]'

  async run(): Promise<void> {
    const {args, argv, flags} = await this.parse(AppExec)
    this.requireRoot()
    await using engine = await this.openEngine()
    const pod = await readyPod(engine, args.pod)
    const app = chooseApp(pod, flags.app, 'app exec', (line) => this.note(line))
    const command = argv.slice(1)
    if (command.length === 0) {
      this.note('no command specified, assuming "/bin/bash"')
      command.push('/bin/bash')
    }
    await enterPod(engine, pod, {app, command})
  }
}

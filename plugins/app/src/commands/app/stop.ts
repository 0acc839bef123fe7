import {Args, EngineCommand, isAfterRun, readyPod, stopApp} from '@rkt/engine'
import {appFlag} from '../../app-flag.ts'
import {explained, required} from '../../failures.ts'

export default class AppStop extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override flags = appFlag
  static override summary = 'Stop an app in the given pod'
  static override usage = 'UUID --app=NAME'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(AppStop)
    this.requireRoot()
    const app = required(flags.app, 'must provide the app to remove')
    await using engine = await this.openEngine()
    const named = engine.pods.get(args.pod)
    if (isAfterRun(named.state)) {
      this.print(`pod "${named.uuid}" is already stopped`)
      return
    }
    const pod = await readyPod(engine, args.pod)
    await explained('error stopping app', async () => await stopApp(engine, pod, app))
  }
}

import {Args, EngineCommand, readyPod, startApp} from '@rkt/engine'
import {appFlag} from '../../app-flag.ts'
import {explained, required} from '../../failures.ts'

export default class AppStart extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override flags = appFlag
  static override summary = 'Start an app in the given pod'
  static override usage = 'UUID --app=NAME'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(AppStart)
    this.requireRoot()
    const app = required(flags.app, 'must provide the app to start')
    await using engine = await this.openEngine()
    const pod = await readyPod(engine, args.pod)
    await explained('error starting app', async () => await startApp(engine, pod, app))
  }
}

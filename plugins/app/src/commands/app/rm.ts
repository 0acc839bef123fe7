import {Args, EngineCommand, isAfterRun, readyPod, removeApp} from '@rkt/engine'
import {appFlag} from '../../app-flag.ts'
import {explained, required} from '../../failures.ts'

export default class AppRm extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override flags = appFlag
  static override summary = 'Remove an app from a pod'
  static override usage = 'UUID --app=NAME'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(AppRm)
    this.requireRoot()
    const app = required(flags.app, 'must provide the app to remove')
    await using engine = await this.openEngine()
    const named = engine.pods.get(args.pod)
    const pod = isAfterRun(named.state) ? named : await readyPod(engine, args.pod)
    await explained('error removing app', async () => await removeApp(engine, pod, app))
  }
}

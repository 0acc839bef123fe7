import {Args, EngineCommand, enterPod, Flags, PodContents, RktError, readyPod} from '@rkt/engine'

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
    const names = new PodContents(pod).manifest().apps.map(({name}): string => name)
    const fail = (reason: string) => new RktError('RKT_POD_APP', 'unable to determine app name', {cause: new Error(reason)})
    const [only, ...more] = names
    if (flags.app !== '' && !names.includes(flags.app)) throw fail(`app ${flags.app} is not present in pod`)
    const app = flags.app === '' ? only : flags.app
    if (app === undefined) throw fail('pod contains zero apps')
    if (flags.app === '' && more.length > 0) {
      this.note('pod contains multiple apps:')
      for (const name of names) this.note(`\t${name}`)
      throw fail('specify app using "rkt app exec --app= ..."')
    }
    const command = argv.slice(1)
    if (command.length === 0) {
      this.note('no command specified, assuming "/bin/bash"')
      command.push('/bin/bash')
    }
    await enterPod(engine, pod, {app, command})
  }
}

import {Args, EngineCommand} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {networkFlags, networksOf, runOptions} from '../options/index.ts'
import {becomePod, explain, overlayProblem, readPreparedPod, requireMetadataService, setUpPod} from '../pod/index.ts'

export default class RunPrepared extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override description = 'UUID is the one that "rkt prepare" printed.'
  static override flags = networkFlags
  static override summary = 'Run a prepared application pod in rkt'
  static override usage = 'UUID'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RunPrepared)
    this.requireNamespace()
    const networks = networksOf(flags)
    // As it always was: neither --ipc nor the local configuration reaches stage1.
    const options = runOptions({...flags, ipc: undefined}, networks, undefined)

    await using engine = await this.openEngine()
    const {directory, uuid} = engine.pods.get(args.pod)
    const held = directory === 'prepared' ? await engine.pods.hold(uuid, 'prepared') : null
    if (!held) throw new RktError('RKT_POD_STATE', `pod "${uuid}" is not prepared`, {hint: 'A pod runs once; prepare another.'})
    using pod = held
    const prepared = explained('cannot read pod manifest', () => readPreparedPod(pod))
    if (flags.interactive && prepared.apps.length > 1)
      throw new RktError('RKT_BAD_ARGUMENTS', 'interactive option only supports pods with one app')
    if (flags['mds-register']) requireMetadataService()
    if (prepared.overlay && overlayProblem(engine) !== null)
      throw new RktError('RKT_OVERLAY', 'unable to run prepared overlay-enabled pod: overlay not supported')
    await becomePod(engine, pod, await setUpPod(engine, pod, prepared, options))
  }
}

function explained<T>(message: string, action: () => T): T {
  try {
    return action()
  } catch (cause) {
    throw explain(message, cause)
  }
}

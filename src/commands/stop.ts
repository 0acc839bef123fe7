import {EngineCommand, Flags, UsageError} from '../cli/index.ts'
import type {Engine} from '../engine/index.ts'
import {causeChain, RktError} from '../errors.ts'
import {isAfterRun, isInState, stopPod} from '../pod/index.ts'
import {readUuidFile, uuidFileFlag} from './_pods.ts'

export default class Stop extends EngineCommand {
  static override flags = {...uuidFileFlag, force: Flags.boolean({description: 'forced stopping'})}
  static override strict = false
  static override summary = 'Stop a pod'
  static override usage = 'UUID ...'

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(Stop)
    const file = flags['uuid-file']
    if ((argv.length === 0) === (file === undefined)) throw new UsageError()
    const texts = file === undefined ? argv : [readUuidFile(file, 1)]
    await using engine = await this.openEngine()
    let failures = 0
    for (const text of texts) if (!(await this.#stop(engine, text, flags.force))) failures += 1
    if (failures > 0) throw new RktError('RKT_POD_STOP', `failed to stop ${failures} pod(s)`)
  }

  /** One pod that cannot be stopped holds up no other. */
  async #stop(engine: Engine, text: string, force: boolean): Promise<boolean> {
    try {
      const uuid = engine.pods.resolve(text)
      const pod = engine.pods.inspect(uuid)
      if (!pod || isAfterRun(pod.state)) {
        this.print(`pod "${uuid}" is already stopped`)
        return true
      }
      if (!isInState(pod, 'running')) {
        this.note(`pod "${uuid}" is not running`)
        return false
      }
      try {
        await stopPod(engine, pod, {force})
      } catch (error) {
        this.note(`error stopping "${uuid}": ${causeChain(error).at(-1)}`)
        return false
      }
      this.print(`"${uuid}"`)
      return true
    } catch (error) {
      this.note(`cannot get pod: ${causeChain(error).at(-1)}`)
      return false
    }
  }
}

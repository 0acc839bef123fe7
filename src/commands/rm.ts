import {EngineCommand, UsageError} from '../cli/index.ts'
import type {Engine} from '../engine/index.ts'
import {causeChain, RktError} from '../errors.ts'
import {deletePod, toGarbage} from '../pod/index.ts'
import {readUuidFile, uuidFileFlag} from './_pods.ts'

export default class Rm extends EngineCommand {
  static override description = 'Unlike gc, rm allows users to remove specific pods.'
  static override flags = uuidFileFlag
  static override strict = false
  static override summary = 'Remove all files and resources associated with an exited pod'
  static override usage = 'UUID ... | --uuid-file FILE'

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(Rm)
    this.requireNamespace()
    const file = flags['uuid-file']
    if ((argv.length === 0) === (file === undefined)) throw new UsageError()
    await using engine = await this.openEngine()
    let failed = false
    for (const text of file === undefined ? argv : this.#fromFile(file)) if (!(await this.#remove(engine, text))) failed = true
    if (failed || (file !== undefined && this.#unreadable)) throw new RktError('RKT_POD_RM', 'failed to remove one or more pods')
  }

  #unreadable = false

  #fromFile(path: string): string[] {
    try {
      return [readUuidFile(path)]
    } catch (error) {
      this.note(
        causeChain(error)
          .filter((_, index, {length}) => index === 0 || index === length - 1)
          .join(': '),
      )
      this.#unreadable = true
      return []
    }
  }

  async #remove(engine: Engine, text: string): Promise<boolean> {
    const note = (line: string) => this.note(line)
    try {
      const uuid = engine.pods.resolve(text)
      using garbage = await toGarbage(engine, uuid, note)
      const gone = garbage === null || (await deletePod(engine, garbage, {note, print: (line) => this.print(line)}))
      if (gone) this.print(`"${uuid}"`)
      return gone
    } catch (error) {
      const [message, ...causes] = causeChain(error)
      const named = error instanceof RktError && ['RKT_POD_NOT_FOUND', 'RKT_POD_UUID_AMBIGUOUS', 'RKT_POD_UUID_EMPTY'].includes(error.code)
      note([...(named ? ['cannot get pod'] : []), message, ...causes.slice(-1)].join(': '))
      return false
    }
  }
}

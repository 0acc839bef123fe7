// A command on rkt's own base: it has the global options, opens the engine and fails in rkt's form.
import {EngineCommand, Flags, RktError} from '@rkt/engine'

export default class HelloPods extends EngineCommand {
  static flags = {greeting: Flags.string({default: 'hello', description: 'word to greet with'})}
  static summary = 'Greet the data directory'

  async run() {
    const {flags} = await this.parse(HelloPods)
    if (flags.greeting === '') throw new RktError('RKT_HELLO_EMPTY', 'a greeting needs a word', {hint: 'Give one with --greeting.'})
    await using engine = await this.openEngine()
    this.print(`${flags.greeting}, ${engine.dataDir}`)
  }
}

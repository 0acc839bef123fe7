// A plain oclif command: any oclif plugin works.
import {Args, Command} from '@oclif/core'

export default class HelloWorld extends Command {
  static args = {name: Args.string({default: 'world', description: 'whom to greet'})}
  static summary = 'Greet somebody'

  async run() {
    const {args} = await this.parse(HelloWorld)
    this.log(`hello, ${args.name}`)
  }
}

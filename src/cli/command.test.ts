import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {Interfaces, Command as OclifCommand} from '@oclif/core'
import {RktError} from '../errors.ts'
import {Args} from './args.ts'
import {EngineCommand, HelpRequest} from './command.ts'
import {Flags} from './flags.ts'
import {errorLines} from './report-error.ts'
import {UsageError} from './usage-error.ts'

class Stop extends EngineCommand {
  static override args = {
    first: Args.string({description: 'the first', required: true}),
    second: Args.string({description: 'the second'}),
  }
  static override flags = {
    force: Flags.boolean({description: 'x'}),
    grace: Flags.duration({default: 1000, description: 'x'}),
    label: Flags.string({description: 'x'}),
  }
  static override id = 'stop'

  async run() {
    const {args, argv, flags} = await this.parse(Stop)
    // The types come from the declarations: each line compiles only with the type that it names.
    const first: string = args.first
    const second: string | undefined = args.second
    const grace: number = flags.grace
    const label: string | undefined = flags.label
    return {argv, debug: this.globals.debug, dir: this.globals.dir, first, force: flags.force, grace, label, second}
  }
}

class Run extends EngineCommand {
  static override flags = {
    mount: Flags.string({description: 'x', multiple: true, perImage: 'or-pod'}),
    name: Flags.string({description: 'x', perImage: true}),
    net: Flags.optional({bare: 'default', description: 'x', list: true}),
  }

  async run() {
    const {flags, images} = await this.parseImages(Run)
    const net: readonly string[] | undefined = flags.net
    const mounts: readonly string[] = flags.mount
    return {images: images.map(({args, flags: {mount, name}, reference}) => ({args, mount, name, reference})), mounts, net}
  }
}

test('words become the values that the command declares, global options among them', async () => {
  assert.deepEqual(await Stop.run(['a', '--debug', '--force', '--dir=/x', 'b']), {
    argv: ['a', 'b'],
    debug: true,
    dir: '/x',
    first: 'a',
    force: true,
    grace: 1000,
    label: undefined,
    second: 'b',
  })
})

test('a wrong number of words, or an unknown option, is a misuse', async () => {
  await assert.rejects(Stop.run([]), UsageError)
  await assert.rejects(Stop.run(['a', 'b', 'c']), UsageError)
  await assert.rejects(Stop.run(['a', '--nosuch']), {message: 'unknown flag: --nosuch', name: 'UsageError'})
})

test('--help stops a command before it runs, also behind an image', async () => {
  await assert.rejects(Stop.run(['--help']), HelpRequest)
  await assert.rejects(Run.run(['image', '-h']), HelpRequest)
})

test('images come with their options and arguments', async () => {
  assert.deepEqual(await Run.run(['--mount=g', 'a', '--name=n', '--net', '--mount=m', '--', 'x', '---', 'b']), {
    images: [
      {args: ['x'], mount: ['m'], name: 'n', reference: 'a'},
      {args: [], mount: [], name: undefined, reference: 'b'},
    ],
    mounts: ['g'],
    net: ['default'],
  })
})

test('what is wrong behind an image is a failure, before it a misuse', async () => {
  await assert.rejects(Run.run(['a', '--nosuch']), {code: 'RKT_BAD_ARGUMENTS', message: 'error parsing app image arguments'})
  await assert.rejects(Run.run(['--name=n', 'a']), {
    message: 'invalid argument "n" for --name=n: --name must follow an image',
    name: 'UsageError',
  })
})

test('commands have the shape that oclif loads', () => {
  type Cacheable = Pick<
    OclifCommand.Class,
    'aliases' | 'constraints' | 'description' | 'enableJsonFlag' | 'examples' | 'hasDynamicHelp' | 'help' | 'hidden' | 'hiddenAliases'
  > &
    Pick<OclifCommand.Class, 'id' | 'strict' | 'usage'> & {summary?: string; args: Interfaces.ArgInput; flags: Interfaces.FlagInput}
  const cacheable: Cacheable = Stop
  const run: (argv?: string[], config?: Interfaces.Config) => Promise<unknown> = Stop.run

  assert.equal(cacheable.flags.force?.type, 'boolean')
  assert.equal(typeof run, 'function')
})

const failure = new RktError('RKT_X', 'cannot remove pod', {
  cause: new Error('unmount', {cause: new Error('device or resource busy')}),
  hint: 'Stop it.',
})

test('a failure is one line: the outer sentence and the innermost cause, then the next step', () => {
  assert.deepEqual(errorLines(failure, 'rm', {debug: false}), ['rm: cannot remove pod: device or resource busy', 'rm: Stop it.'])
})

test('of what comes from elsewhere it is said what it was, where the innermost cause does not', () => {
  const fetching = (innermost: string) =>
    new RktError('RKT_FETCH_FAILED', 'error downloading ACI', {
      cause: new Error('cannot fetch https://example.com/a.aci', {cause: new Error(innermost)}),
    })
  assert.deepEqual(errorLines(fetching('bad HTTP status code: 403'), 'run', {debug: false}), [
    'run: error downloading ACI: cannot fetch https://example.com/a.aci: bad HTTP status code: 403',
  ])
  assert.deepEqual(errorLines(fetching('open /a.aci: no such file or directory'), 'run', {debug: false}), [
    'run: error downloading ACI: open /a.aci: no such file or directory',
  ])
})

test('with --debug a failure is the whole chain, and its code', () => {
  assert.deepEqual(errorLines(failure, 'rm', {debug: true}), [
    'rm: cannot remove pod',
    '  └─unmount',
    '    └─device or resource busy',
    'rm: code RKT_X',
    'rm: Stop it.',
  ])
})

test('a failure without an outer sentence is its innermost cause, a failure without a cause its sentence', () => {
  assert.deepEqual(errorLines(new RktError('RKT_X', '', {cause: new Error('deep')}), 'rm', {debug: false}), ['rm: deep'])
  assert.deepEqual(errorLines(new RktError('RKT_X', 'alone'), 'rm', {debug: false}), ['rm: alone'])
  assert.deepEqual(errorLines(new TypeError('x is not a function'), 'rm', {debug: false}), ['rm: x is not a function'])
})

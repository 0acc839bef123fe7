import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type FlagInput, Flags} from '../flags.ts'
import {parseWords} from './parse.ts'

const flags = {
  dns: Flags.list({description: 'x'}),
  exec: Flags.string({description: 'x', perImage: true}),
  fields: Flags.options({default: ['id'], description: 'x', values: ['id', 'name', 'size']}),
  full: Flags.boolean({description: 'x'}),
  'grace-period': Flags.duration({default: 1_800_000, description: 'x'}),
  help: Flags.boolean({char: 'h', description: 'x'}),
  name: Flags.string({default: '', description: 'x'}),
  net: Flags.optional({bare: 'default', description: 'x', list: true}),
  port: Flags.integer({default: 18112, description: 'x'}),
  search: Flags.string({description: 'x', multiple: true}),
  shout: Flags.custom({
    description: 'x',
    multiple: true,
    parse: (text: string, earlier: readonly string[]) => {
      if (earlier.includes(text)) throw new Error(`${text} twice`)
      return text.toUpperCase()
    },
  }),
  'store-only': Flags.boolean({deprecated: 'please use --pull-policy=never', description: 'x'}),
  wait: Flags.optional({bare: 'true', default: 'false', description: 'x'}),
} satisfies FlagInput

const parse = (line: string, interspersed = true) => parseWords(line === '' ? [] : line.split(' '), flags, {interspersed})
const values = (line: string) => parse(line).values.result(() => true)

const cases: [line: string, name: keyof typeof flags, value: unknown][] = [
  ['', 'full', false],
  ['--full', 'full', true],
  ['--full=false', 'full', false],
  ['--full=T', 'full', true],
  ['--full --full=0', 'full', false],
  ['--name x', 'name', 'x'],
  ['--name=x', 'name', 'x'],
  ['--name=', 'name', ''],
  ['--name --full', 'name', '--full'],
  ['--name=a=b', 'name', 'a=b'],
  ['--name=a --name=b', 'name', 'b'],
  ['', 'net', undefined],
  ['--net', 'net', ['default']],
  ['--net=none', 'net', ['none']],
  ['--net=a,b --net=c', 'net', ['a', 'b', 'c']],
  ['--wait', 'wait', 'true'],
  ['--wait=5s', 'wait', '5s'],
  ['', 'wait', 'false'],
  ['--dns=1.1.1.1,8.8.8.8 --dns 9.9.9.9', 'dns', ['1.1.1.1', '8.8.8.8', '9.9.9.9']],
  ['', 'dns', []],
  ['--search=a,b --search c', 'search', ['a,b', 'c']],
  ['--grace-period=1h30m', 'grace-period', 5_400_000],
  ['', 'grace-period', 1_800_000],
  ['--port=0x10', 'port', 16],
  ['--fields=NAME,size', 'fields', ['name', 'size']],
  ['--fields=name --fields=size', 'fields', ['size']],
  ['--fields=', 'fields', []],
  ['--shout=a --shout=b', 'shout', ['A', 'B']],
  ['-h', 'help', true],
  ['-h=false', 'help', false],
]

for (const [line, name, value] of cases) {
  test(`"${line}" gives --${name} ${JSON.stringify(value)}`, () => assert.deepEqual(values(line)[name], value))
}

const refusals: [line: string, message: string][] = [
  ['--nosuch', 'unknown flag: --nosuch'],
  ['--nosuch=1', 'unknown flag: --nosuch'],
  ['--constructor', 'unknown flag: --constructor'],
  ['-x', "unknown shorthand flag: 'x' in -x"],
  ['-xyz', "unknown shorthand flag: 'x' in -xyz"],
  ['--name', 'flag needs an argument: --name'],
  ['---', 'bad flag syntax: ---'],
  ['--=x', 'bad flag syntax: --=x'],
  ['--full=yes', 'invalid argument "yes" for --full=yes: strconv.ParseBool: parsing "yes": invalid syntax'],
  ['--port=x', 'invalid argument "x" for --port=x: strconv.ParseInt: parsing "x": invalid syntax'],
  ['--port x', 'invalid argument "x" for --port: strconv.ParseInt: parsing "x": invalid syntax'],
  ['--grace-period=5', 'invalid argument "5" for --grace-period=5: time: missing unit in duration "5"'],
  ['--fields=bogus', 'invalid argument "bogus" for --fields=bogus: unknown option "bogus"'],
  ['--fields=id,id', 'invalid argument "id,id" for --fields=id,id: duplicated option "id"'],
  ['--shout=A --shout=A', 'invalid argument "A" for --shout=A: A twice'],
  ['--exec=/bin/sh IMG', 'invalid argument "/bin/sh" for --exec=/bin/sh: --exec must follow an image'],
]

for (const [line, message] of refusals) {
  test(`"${line}" is refused: ${message}`, () => assert.throws(() => parse(line), {message}))
}

test('options and words may mix, and -- ends the options', () => {
  assert.deepEqual(parse('a --full b - -- --name c').words, ['a', 'b', '-', '--name', 'c'])
})

test('where options end at the first word, the rest stays as it is', () => {
  const {values: given, words} = parse('--full UUID --name -- x', false)

  assert.deepEqual(words, ['UUID', '--name', '--', 'x'])
  assert.equal(given.result(() => true).full, true)
})

test('a deprecated option works and says so', () => {
  const {notices, values: given} = parse('--store-only')

  assert.deepEqual(notices, ['Flag --store-only has been deprecated, please use --pull-policy=never'])
  assert.equal(given.result(() => true)['store-only'], true)
})

import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, test} from 'node:test'
import {Flags} from '../flags.ts'
import {bashCompletion} from './bash.ts'

const pods = `11111111\tone\texample.com/one:1\trunning\tnow\tnow\t\n\t\ttwo\texample.com/two:1\t\t\t\t
22222222\tone\texample.com/one:1\texited\tnow\tnow\t
33333333\tone\texample.com/one:1\tprepared\tnow\t\t
44444444\t-\t-\t\t\taborted prepare\tnow\t\t
`
const images = 'sha512-aaaaaaaaaaaa\texample.com/one:1\nsha512-bbbbbbbbbbbb\texample.com/two:2\n'

let directory: string

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'rkt-completion-'))
  const script = bashCompletion([
    {flags: {}, id: 'enter'},
    {flags: {}, id: 'export'},
    {flags: {full: Flags.boolean({description: 'x'})}, id: 'image list'},
    {flags: {}, id: 'image rm'},
    {flags: {full: Flags.boolean({description: 'x'})}, id: 'list'},
    {flags: {}, id: 'rm'},
    {
      flags: {
        hush: Flags.boolean({description: 'x', hidden: true}),
        net: Flags.optional({bare: 'default', description: 'x', list: true}),
        'pull-policy': Flags.string({description: 'x', values: ['new', 'never', 'update']}),
      },
      id: 'run',
    },
    {flags: {}, id: 'run-prepared'},
    {flags: {}, id: 'status'},
  ])
  writeFileSync(join(directory, 'completion.bash'), script)
  writeFileSync(join(directory, 'pods'), pods)
  writeFileSync(join(directory, 'images'), images)
  writeFileSync(join(directory, 'an image.aci'), '')
  // Stands in for rkt where the script asks it for pods and images; it answers only for the data directory of the command line.
  writeFileSync(
    join(directory, 'rkt'),
    `#!/bin/sh
[ "$1" = --dir=/data ] && shift || { [ -n "$NEEDS_DIR" ] && exit 1; }
case "$1 $2" in "list --no-legend") cat '${directory}/pods' ;; "image list") cat '${directory}/images' ;; esac
`,
  )
  chmodSync(join(directory, 'rkt'), 0o755)
})

after(() => rmSync(directory, {recursive: true}))

/** What bash offers when Tab is hit at the end of the line. */
function complete(line: string, env: Record<string, string> = {}): string[] {
  const words = line.split(' ')
  const program = `
source ./completion.bash
COMP_LINE=$LINE COMP_POINT=\${#LINE} COMP_WORDS=($LINE) COMP_CWORD=${words.length - 1}
_rkt 2>&1
printf '%s\\n' "\${COMPREPLY[@]}"`
  const output = execFileSync('bash', ['--norc', '-c', program], {
    cwd: directory,
    encoding: 'utf8',
    env: {...env, LINE: line, PATH: `${directory}:${process.env.PATH}`},
  })
  return output.split('\n').filter((word) => word !== '')
}

const cases: [line: string, offers: string[]][] = [
  ['rkt ', ['enter', 'export', 'image', 'list', 'rm', 'run', 'run-prepared', 'status']],
  ['rkt ru', ['run', 'run-prepared']],
  ['rkt --debug li', ['list']],
  ['rkt --dir /data li', ['list']],
  ['rkt image ', ['list', 'rm']],
  ['rkt --debug image r', ['rm']],
  ['rkt list --fu', ['--full']],
  ['rkt image list --fu', ['--full']],
  ['rkt list --hel', ['--help']],
  ['rkt run --ne', ['--net', '--net=']],
  ['rkt run --hus', []],
  ['rkt run --pull-policy=ne', ['new', 'never']],
  ['rkt run --pull-policy ne', ['new', 'never']],
  ['rkt list --full=', ['true', 'false']],
  ['rkt status ', ['11111111', '22222222', '33333333', '44444444']],
  ['rkt status 2', ['22222222']],
  ['rkt enter ', ['11111111']],
  ['rkt enter 11111111 ', []],
  ['rkt run-prepared ', ['33333333']],
  ['rkt rm ', ['22222222', '33333333', '44444444']],
  ['rkt image rm sha512-a', ['sha512-aaaaaaaaaaaa']],
  ['rkt image rm example.com/t', ['example.com/two:2']],
  ['rkt image rm example.com/two:', ['2']],
  ['rkt run an', ['an image.aci']],
  ['rkt export 22222222 an', ['an image.aci']],
]

for (const [line, offers] of cases) {
  test(`"${line}" offers ${offers.join(', ') || 'nothing'}`, () => assert.deepEqual(complete(line), offers))
}

test('pods are asked for in the data directory of the line', () => {
  assert.deepEqual(complete('rkt --dir=/data status 1', {NEEDS_DIR: '1'}), ['11111111'])
  assert.deepEqual(complete('rkt --dir /data status 1', {NEEDS_DIR: '1'}), ['11111111'])
  assert.deepEqual(complete('rkt status 1', {NEEDS_DIR: '1'}), [])
})

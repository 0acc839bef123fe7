import assert from 'node:assert/strict'
import {test} from 'node:test'
import {locate, suggestions} from './locate.ts'

const ids = ['config', 'enter', 'export', 'fetch', 'gc', 'help', 'image cat-manifest', 'image list', 'image rm', 'list', 'logs', 'plan']
  .concat(['prepare', 'rm', 'run', 'run-prepared', 'status', 'stop', 'version', 'image gc', 'image build', 'why', 'plugins list'])
  .toSorted()
const switches = new Set(['debug', 'full', 'help', 'net', 'no-store', 'no-overlay', 'trust-keys-from-https'])

const commands: [line: string, id: string, argv: string[]][] = [
  ['list', 'list', []],
  ['list --full', 'list', ['--full']],
  ['--debug list', 'list', ['--debug']],
  ['--dir=/x list --full', 'list', ['--dir=/x', '--full']],
  ['--dir /x list', 'list', ['--dir', '/x']],
  ['--dir list list', 'list', ['--dir', 'list']],
  ['--no-store fetch X', 'fetch', ['--no-store', 'X']],
  ['--net=host --insecure-options=image run IMG', 'run', ['--net=host', '--insecure-options=image', 'IMG']],
  ['--set-env=A=b run IMG', 'run', ['--set-env=A=b', 'IMG']],
  ['--set-env A=b run IMG', 'run', ['--set-env', 'A=b', 'IMG']],
  ['--pretty-print=false config', 'config', ['--pretty-print=false']],
  ['-h list', 'list', ['-h']],
  ['run IMG --name=list', 'run', ['IMG', '--name=list']],
  ['run', 'run', []],
  ['stat', 'status', []],
  ['exp U F', 'export', ['U', 'F']],
  ['image list', 'image list', []],
  ['im li', 'image list', []],
  ['image cat IMG', 'image cat-manifest', ['IMG']],
  ['--debug image --full list', 'image list', ['--debug', '--full']],
  ['image --debug rm IMG', 'image rm', ['--debug', 'IMG']],
  ['-- list', 'list', ['--']],
  ['--set-env="A=list gc" run IMG', 'run', ['--set-env="A=list', 'gc"', 'IMG']],
  ['"list x" run', 'run', ['"list', 'x"']],
]

for (const [line, id, argv] of commands) {
  test(`"rkt ${line}" means ${id}`, () => {
    assert.deepEqual(locate(line.split(' '), ids, switches), {argv, id, kind: 'command'})
  })
}

test('a prefix belongs to documented commands first', () => {
  assert.equal(locate(['l'], ids, switches).kind, 'command')
  assert.deepEqual(locate(['l'], ids, switches), {argv: [], id: 'list', kind: 'command'})
  assert.deepEqual(locate(['lo'], ids, switches), {argv: [], id: 'logs', kind: 'command'})
  assert.deepEqual(locate(['p'], ids, switches), {argv: [], id: 'prepare', kind: 'command'})
  assert.deepEqual(locate(['image', 'b'], ids, switches), {argv: [], id: 'image build', kind: 'command'})
})

test('an ambiguous or unknown word is no command', () => {
  for (const word of ['r', 'st', 'pla ', 'nosuch']) assert.equal(locate([word], ids, switches).kind, 'unknown', word)
})

test('options alone are no command, nor is the value of one', () => {
  assert.deepEqual(locate(['--debug', '--dir', 'list'], ids, switches), {argv: ['--debug', '--dir', 'list'], kind: 'none'})
  assert.equal(locate([], ids, switches).kind, 'none')
})

test('a group without one of its commands is the group', () => {
  assert.deepEqual(locate(['image'], ids, switches), {id: 'image', kind: 'group'})
  assert.deepEqual(locate(['image', 'nosuch'], ids, switches), {id: 'image', kind: 'group'})
  assert.deepEqual(locate(['image', 'r'], ids, switches), {argv: [], id: 'image rm', kind: 'command'})
})

test("another engine's word for a command leads to it, however near another one is", () => {
  assert.deepEqual(suggestions('ps', ['list', 'rm']), ['list'])
  assert.deepEqual(suggestions('pull', ['fetch', 'run']), ['fetch'])
})

test('suggestions are near by two letters or begun by the word', () => {
  const names = ['enter', 'list', 'rm', 'run', 'status', 'stop']
  assert.deepEqual(suggestions('lst', names), ['list'])
  assert.deepEqual(suggestions('sta', names), ['status', 'stop'])
  assert.deepEqual(suggestions('r', names), ['rm', 'run'])
  assert.deepEqual(suggestions('nosuchcommand', names), [])
})

import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parseNetworks} from './networks.ts'

test('no network asked for is the default one', () => {
  assert.deepEqual(parseNetworks([]), ['default'])
})

test('networks keep their arguments', () => {
  assert.deepEqual(parseNetworks(['default:IP=172.16.28.123;A=B', 'none']), ['default:IP=172.16.28.123;A=B', 'none'])
})

const refused: readonly [words: string[], message: string][] = [
  [[''], 'netname must not be empty'],
  [['a', 'a'], 'found duplicate netname "a"'],
  [['a:X=1', 'a'], 'found duplicate netname "a"'],
  [['host:X=1'], 'arguments are not supported by special netname "host"'],
  [['all:X=1'], 'arguments are not supported by special netname "all"'],
  [['a:b:c'], 'network "a" provided with invalid arguments: [b c]'],
]

for (const [words, message] of refused) test(`refused: ${message} (${words})`, () => assert.throws(() => parseNetworks(words), {message}))

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {causeChain} from '../errors.ts'
import {formatImageString, parseImageString} from './index.ts'

const GOOD: readonly [text: string, name: string, labels: readonly (readonly [string, string])[]][] = [
  ['example.com/app', 'example.com/app', []],
  [
    'example.com/app:2.1,channel=beta',
    'example.com/app',
    [
      ['version', '2.1'],
      ['channel', 'beta'],
    ],
  ],
  ['example.com/app,x=a+b&c=d', 'example.com/app', [['x', 'a+b&c=d']]],
  ['example.com/app,x=', 'example.com/app', [['x', '']]],
  ['example.com/app:', 'example.com/app', [['version', '']]],
  ['example.com/app,version=1', 'example.com/app', [['version', '1']]],
]

for (const [text, name, labels] of GOOD) {
  test(`the image string ${text} is read`, () => {
    assert.deepEqual(parseImageString(text), {labels: labels.map(([label, value]) => ({name: label, value})), name})
  })
}

const BAD: readonly [text: string, rule: string][] = [
  ['', 'ACIdentifier cannot be empty'],
  ['example.com/app,x', 'malformed string "name=example.com/app,x" - has a label without a value: x'],
  ['example.com/app:1,version=1', 'label version with multiple values ["1" "1"]'],
  ['example.com/app,x=1,x=2', 'label x with multiple values ["1" "2"]'],
  ['example.com/app,x=1:2', '":" behind the first ","'],
  ['a:1:2', 'more than one ":"'],
  ['Example.com/app', 'ACIdentifier must be lower case alphanumeric characters plus "-._~/"'],
  ['example.com/app,X=1', 'ACIdentifier must be lower case alphanumeric characters plus "-._~/"'],
  ['example.com/app,=1', 'ACIdentifier cannot be empty'],
  ['a,name=b', 'label name with multiple values ["a" "b"]'],
]

for (const [text, rule] of BAD) {
  test(`the image string ${JSON.stringify(text)} is refused: ${rule}`, () => {
    assert.throws(
      () => parseImageString(text),
      (thrown: Error & {code?: string}) => {
        assert.equal(thrown.code, 'RKT_BAD_IMAGE_NAME')
        assert.equal(thrown.message, `cannot parse the image name ${JSON.stringify(text)}`)
        assert.equal(causeChain(thrown).at(-1), rule)
        return true
      },
    )
  })
}

test('what is printed reads back', () => {
  for (const [text] of GOOD) {
    const image = parseImageString(text)
    assert.deepEqual(parseImageString(formatImageString(image)), image)
  }
  assert.equal(formatImageString(parseImageString('a,channel=beta,version=2')), 'a:2,channel=beta')
  assert.equal(formatImageString({name: parseImageString('a').name}), 'a')
})

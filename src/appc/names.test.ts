import assert from 'node:assert/strict'
import {test} from 'node:test'

import {causeChain} from '../errors.ts'
import {appNameOf, parseAcIdentifier, parseAcName, sanitizeAcIdentifier, sanitizeAcName} from './index.ts'

function ruleOf(parse: () => unknown): string | undefined {
  try {
    parse()
  } catch (thrown) {
    return causeChain(thrown).at(-1)
  }
  return undefined
}

test('identifiers are lower-case letters and digits with separators inside', () => {
  const good = [
    'database',
    'example.com/database',
    'example.com/~bob/app_v1',
    'sub-domain.example.com/org/release-1.0.0',
    'my~database',
    '0',
    'a',
  ]
  for (const text of good) assert.equal(parseAcIdentifier(text), text)
})

test('separators of an identifier may stand together, as in the reference library', () => {
  for (const text of ['a--b', 'a..b', 'a//b', 'a-/b']) assert.equal(parseAcIdentifier(text), text)
})

test('what is no identifier is refused with the rule that it breaks', () => {
  assert.equal(
    ruleOf(() => parseAcIdentifier('')),
    'ACIdentifier cannot be empty',
  )
  for (const text of ['BAR', 'foo#', 'foo.com/BAR', 'a b', 'a:b', 'a@b', 'a,b', 'a=b', 'ä', 'a\n', '\ud800']) {
    assert.equal(
      ruleOf(() => parseAcIdentifier(text)),
      'ACIdentifier must be lower case alphanumeric characters plus "-._~/"',
      text,
    )
  }
  for (const text of ['/app', 'app/', '-app', 'app-', '.app', 'app.', '_app', 'app_', '~app', 'app~', '-']) {
    assert.equal(
      ruleOf(() => parseAcIdentifier(text)),
      'ACIdentifier must start and end with only lower case alphanumeric characters',
      text,
    )
  }
})

test('names have one separator', () => {
  for (const text of ['a', '0', 'ab-c', 'a--b']) assert.equal(parseAcName(text), text)
  assert.equal(
    ruleOf(() => parseAcName('')),
    'ACName cannot be empty',
  )
  for (const text of ['a.b', 'a_b', 'a/b', 'a~b', 'A']) {
    assert.equal(
      ruleOf(() => parseAcName(text)),
      'ACName must be lower case alphanumeric characters plus "-"',
      text,
    )
  }
  for (const text of ['-a', 'a-']) {
    assert.equal(
      ruleOf(() => parseAcName(text)),
      'ACName must start and end with only lower case alphanumeric characters',
      text,
    )
  }
})

test('the refused text is named, without characters that a terminal obeys', () => {
  assert.throws(() => parseAcName('\u001b[2J\u202e'), {code: 'RKT_BAD_NAME', message: String.raw`"\u001b[2J\u202e" is not a valid name`})
})

test('a text of a megabyte is refused quickly and shown shortened', () => {
  const text = `${'a'.repeat(1_000_000)}-`

  assert.throws(
    () => parseAcIdentifier(text),
    (thrown: Error) => thrown.message.length < 120,
  )
})

test('sanitising gives the nearest identifier', () => {
  const cases = {
    '-/.app..': 'app',
    '-/app.name-test/-/': 'app.name-test',
    'app///': 'app',
    'EXAMPLE.com': 'example.com',
    'Foo Bar/': 'foo_bar',
    'foo#': 'foo',
  }
  for (const [text, name] of Object.entries(cases)) assert.equal(sanitizeAcIdentifier(text), name)
})

test('sanitising gives the nearest name', () => {
  const cases = {'Foo.Bar_1': 'foo-bar-1', '--a--': 'a', ü1: '1'}
  for (const [text, name] of Object.entries(cases)) assert.equal(sanitizeAcName(text), name)
})

test('nothing is made of nothing', () => {
  for (const text of ['', '___', '-/-']) {
    assert.throws(() => sanitizeAcIdentifier(text), {code: 'RKT_BAD_NAME'})
    assert.throws(() => sanitizeAcName(text), {code: 'RKT_BAD_NAME'})
  }
})

test('an app is named for the last element of its image', () => {
  assert.equal(appNameOf('example.com/tools/bb_1.0'), 'bb-1-0')
  assert.equal(appNameOf('busybox'), 'busybox')
})

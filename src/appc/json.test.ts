import assert from 'node:assert/strict'
import {test} from 'node:test'

import {JsonSyntaxError, MAX_BYTES, MAX_DEPTH, MAX_VALUES, readJson} from './json.ts'

function complaint(document: string | Uint8Array): string {
  try {
    readJson(document)
  } catch (thrown) {
    assert.ok(thrown instanceof JsonSyntaxError)
    return thrown.message
  }
  return assert.fail('was read')
}

test('what JSON.parse reads is read the same', () => {
  const documents = [
    'null',
    ' [1, -2.5, true ,false,null,"x"]\n',
    '{"a":{"b":[]},"c":""}',
    String.raw`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`,
    '"é😀"',
    '0',
    '-0.5',
    '1e21',
    '[[],{}]',
  ]
  for (const document of documents) assert.deepEqual(JSON.parse(JSON.stringify(readJson(document))), JSON.parse(document))
})

test('bytes are read as UTF-8', () => {
  assert.equal(readJson(new TextEncoder().encode('"é😀"')), 'é😀')
})

test('what JSON.parse refuses is refused', () => {
  const documents = [
    '',
    ' ',
    '{',
    '[',
    '"',
    '[1,]',
    '{"a":1,}',
    '{"a"}',
    '{a:1}',
    "'a'",
    '[1 2]',
    '01',
    '1.',
    '.5',
    '+1',
    '--1',
    '1e',
    'nul',
    'TRUE',
    'NaN',
    'Infinity',
    '"\n"',
    '"\u0000"',
    String.raw`"\x"`,
    String.raw`"\u12g4"`,
    '1 1',
    '[]]',
    '//',
    '\u00a01',
  ]
  for (const document of documents) {
    assert.throws(() => JSON.parse(document), document)
    assert.throws(() => readJson(document), JsonSyntaxError, document)
  }
})

test('an error says line, column and excerpt', () => {
  assert.equal(complaint('{\n  "name": "x",\n  "app": }\n}'), 'line 3, column 10: expected a value, found "}": "app": >>>}<<<')
  assert.equal(complaint('{"a": 1 "b": 2}'), 'line 1, column 9: expected "," or "}", found "\\"": {"a": 1 >>>"<<<b": 2}')
  assert.equal(complaint('[1,'), 'line 1, column 4: expected a value, found the end: [1,>>><<<')
  assert.equal(complaint('{} x'), 'line 1, column 4: expected nothing after the end of the document, found "x": {} >>>x<<<')
})

test('an excerpt is short and harmless to a terminal', () => {
  const message = complaint(`[${' '.repeat(5000)}\u001b]0;evil\u0007${'x'.repeat(5000)}`)

  assert.ok(message.length < 200)
  assert.doesNotMatch(message, /[\u0000-\u001f\u007f-\u009f]/)
})

test('a byte order mark is refused', () => {
  assert.match(complaint('\ufeff{}'), /^line 1, column 1: expected a value, found "\\ufeff"/)
  assert.match(complaint(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)), /^line 1, column 1: /)
})

test('bytes that are no UTF-8 are refused', () => {
  assert.equal(complaint(Uint8Array.of(0x22, 0xff, 0x22)), 'not valid UTF-8')
  assert.equal(complaint(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)), 'not valid UTF-8')
})

test('half a surrogate pair becomes the replacement character', () => {
  assert.equal(readJson(String.raw`"\ud800x"`), '\ufffdx')
})

test('depth, length and the number of values are bounded', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

  assert.ok(readJson(nested(MAX_DEPTH)))
  assert.match(complaint(nested(MAX_DEPTH + 1)), /nested deeper than 100 levels/)
  assert.match(complaint('[{"a":'.repeat(1_000_000)), /nested deeper than 100 levels/)
  assert.equal(complaint(' '.repeat(MAX_BYTES + 1)), 'larger than 16 MiB')
  assert.match(complaint(`[${'0,'.repeat(MAX_VALUES)}0]`), /more than 1000000 values/)
  assert.match(complaint('9'.repeat(1000)), /expected a number of at most 400 characters/)
})

test('a string of megabytes is read', () => {
  const text = 'a'.repeat(8_000_000)

  assert.equal(readJson(JSON.stringify(text)), text)
})

test('numbers that JavaScript would change keep their text', () => {
  for (const text of ['9007199254740993', '1.0', '1e3', '-0', '1e400', '0.10']) {
    assert.equal(JSON.stringify(readJson(`[${text}]`)), `[${text}]`)
  }
  assert.equal(readJson('9007199254740992'), 2 ** 53)
})

test('the last of duplicate keys wins, and stands last', () => {
  assert.equal(JSON.stringify(readJson('{"a":1,"b":2,"a":3}')), '{"b":2,"a":3}')
})

test('a key __proto__ is a key', () => {
  const value = readJson('{"__proto__":{"polluted":true},"constructor":1}') as object

  assert.deepEqual(Object.keys(value), ['__proto__', 'constructor'])
  assert.equal(Object.getPrototypeOf(value), Object.prototype)
  assert.equal('polluted' in value, false)
})

import assert from 'node:assert/strict'
import {test} from 'node:test'
import type {LogLine} from '@rkt/engine'
import {Joiner} from './joiner.ts'

const line = (text: string, whole: boolean, more: Partial<LogLine> = {}): LogLine => ({
  app: 'app',
  stream: 'stdout',
  text: Buffer.from(text, 'latin1'),
  time: '2026-11-25T22:49:56.123456789Z',
  whole,
  ...more,
})

test('parts of a long line are one line, those of each app and stream apart', () => {
  const joiner = new Joiner()
  const join = (...words: Parameters<typeof line>) => joiner.join(line(...words))?.text.toString()

  assert.equal(join('a', false), undefined)
  assert.equal(join('x', true, {stream: 'stderr'}), 'x')
  assert.equal(join('y', true, {app: 'other'}), 'y')
  assert.equal(join('b', false), undefined)
  assert.equal(join('c', true), 'abc')
  assert.equal(join('d', true), 'd')
})

test('a character that two parts share is whole again', () => {
  const joiner = new Joiner()

  assert.equal(joiner.join(line('caf\xc3', false)), undefined)
  assert.equal(joiner.join(line('\xa9', true))?.text.toString(), 'caf\u00e9')
})

test('a line that never ends is given out before it fills the memory', () => {
  const joiner = new Joiner()
  const part = 'x'.repeat(1 << 16)
  let longest = 0
  for (let count = 0; count < 64; count++) longest = Math.max(longest, joiner.join(line(part, false))?.text.length ?? 0)

  assert.equal(longest, 1 << 20)
})

import assert from 'node:assert/strict'
import {test} from 'node:test'
import {Joiner, parseLine, shortLine} from './cri-line.ts'

const time = '2026-11-25T22:49:56.123456789Z'

test('a line of a log has its time, stream and text, whatever bytes those are', () => {
  assert.deepEqual(parseLine(`${time} stdout F hello world`), {isPartial: false, stream: 'stdout', text: 'hello world', time})
  assert.deepEqual(parseLine(`${time} stderr P `), {isPartial: true, stream: 'stderr', text: '', time})
  assert.equal(parseLine(`${time} stdout F`)?.text, '')
  assert.equal(parseLine(`${time} stdout F \u001b[31m\r`)?.text, '\u001b[31m\r')
  for (const odd of ['', 'hello', `${time} stdin F x`, `${time.slice(0, 10)} stdout F x`, `${time} stdout X x`]) {
    assert.equal(parseLine(odd), undefined, odd)
  }
})

test('parts of a long line are one line, those of each stream apart', () => {
  const joiner = new Joiner()
  const join = (text: string, stream: string, isPartial: boolean) => joiner.join({isPartial, stream, text, time})?.text

  assert.equal(join('a', 'stdout', true), undefined)
  assert.equal(join('x', 'stderr', false), 'x')
  assert.equal(join('b', 'stdout', true), undefined)
  assert.equal(join('c', 'stdout', false), 'abc')
  assert.equal(join('d', 'stdout', false), 'd')
})

test('a line that never ends is given out before it fills the memory', () => {
  const joiner = new Joiner()
  const part = 'x'.repeat(1 << 16)
  let longest = 0
  for (let count = 0; count < 64; count++) {
    longest = Math.max(longest, joiner.join({isPartial: true, stream: 'stdout', text: part, time})?.text.length ?? 0)
  }

  assert.equal(longest, 1 << 20)
})

test("lines look like the journal's short ones, in local time", () => {
  const local = new Date('2026-11-05T02:03:04Z')
  const two = (number: number) => String(number).padStart(2, '0')
  const clock = [local.getHours(), local.getMinutes(), local.getSeconds()].map(two).join(':')

  assert.equal(
    shortLine({text: 'hello', time: '2026-11-05T02:03:04.999999999Z'}, 'box', 'app'),
    `${local.getDate() === 5 ? 'Nov 05' : `Nov ${two(local.getDate())}`} ${clock} box app: hello`,
  )
})

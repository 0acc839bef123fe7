import assert from 'node:assert/strict'
import {test} from 'node:test'
import {parseLine} from './log-line.ts'

const time = '2026-11-25T22:49:56.123456789Z'
const parsed = (text: string) => {
  const line = parseLine('app', Buffer.from(text, 'latin1'))
  return line && {...line, text: line.text.toString('latin1')}
}

test('a line of a log has its time, stream and text, whatever bytes those are', () => {
  assert.deepEqual(parsed(`${time} stdout F hello world`), {app: 'app', stream: 'stdout', text: 'hello world', time, whole: true})
  assert.deepEqual(parsed(`${time} stderr P `), {app: 'app', stream: 'stderr', text: '', time, whole: false})
  assert.equal(parsed(`${time} stdout F:more x`)?.text, 'x')
  assert.equal(parsed(`${time} stdout F`)?.text, '')
  assert.equal(parsed(`${time} stdout F \u001b[31m\xff\r`)?.text, '\u001b[31m\xff\r')
  for (const odd of ['', 'hello', `${time} stdin F x`, `${time.slice(0, 10)} stdout F x`, `${time} stdout X x`, `${time} stdout Fx y`]) {
    assert.equal(parsed(odd), undefined, odd)
  }
})

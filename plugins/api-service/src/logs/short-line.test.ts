import assert from 'node:assert/strict'
import {test} from 'node:test'
import {shortLine} from './short-line.ts'

test("lines look like the journal's short ones, in local time", () => {
  const local = new Date('2026-11-05T02:03:04Z')
  const two = (number: number) => String(number).padStart(2, '0')
  const clock = [local.getHours(), local.getMinutes(), local.getSeconds()].map(two).join(':')

  for (const time of ['2026-11-05T02:03:04.999999999Z', '2026-11-05T02:03:04Z']) {
    assert.equal(shortLine({app: 'app', text: Buffer.from('hello'), time}, 'box'), `Nov ${two(local.getDate())} ${clock} box app: hello`)
  }
})

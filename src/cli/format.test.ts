import assert from 'node:assert/strict'
import {test} from 'node:test'
import {formatDuration, parseDuration} from './duration.ts'
import {humanSize} from './size.ts'
import {formatTable} from './table.ts'
import {relativeTime} from './time.ts'
import {abbreviationIn} from './zone.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const durations: [text: string, milliseconds: number, printed: string][] = [
  ['0', 0, '0s'],
  ['0s', 0, '0s'],
  ['300ms', 300, '300ms'],
  ['30m', 30 * minute, '30m0s'],
  ['1h30m', 90 * minute, '1h30m0s'],
  ['24h', day, '24h0m0s'],
  ['-1s', -second, '-1s'],
  ['1.5h', 90 * minute, '1h30m0s'],
  ['.5s', 500, '500ms'],
  ['1.5s', 1500, '1.5s'],
  ['2us', 0.002, '2µs'],
  ['1.5ms', 1.5, '1.5ms'],
  ['100ns', 0.0001, '100ns'],
  ['+5s', 5 * second, '5s'],
]

for (const [text, milliseconds, printed] of durations) {
  test(`the duration ${text} is ${milliseconds} ms and prints as ${printed}`, () => {
    assert.equal(parseDuration(text), milliseconds)
    assert.equal(formatDuration(milliseconds), printed)
  })
}

const badDurations: [text: string, message: string][] = [
  ['', 'time: invalid duration ""'],
  ['x', 'time: invalid duration "x"'],
  ['5', 'time: missing unit in duration "5"'],
  ['5x', 'time: unknown unit "x" in duration "5x"'],
  ['1h5', 'time: missing unit in duration "1h5"'],
  ['.s', 'time: invalid duration ".s"'],
  ['9999999h', 'time: invalid duration "9999999h"'],
]

for (const [text, message] of badDurations) {
  test(`"${text}" is no duration: ${message}`, () => assert.throws(() => parseDuration(text), {message}))
}

const sizes: [bytes: number, text: string][] = [
  [0, '0B'],
  [9, '9B'],
  [10, '10B'],
  [1023, '1023B'],
  [1024, '1.0KiB'],
  [2_007_040, '1.9MiB'],
  [4_508_877, '4.3MiB'],
  [12 * 1024 ** 2, '12MiB'],
  [123 * 1024, '123KiB'],
  [5 * 1024 ** 3, '5.0GiB'],
]

for (const [bytes, text] of sizes) test(`${bytes} bytes are ${text}`, () => assert.equal(humanSize(bytes), text))

const distances: [milliseconds: number, text: string][] = [
  [0, 'now'],
  [999, 'now'],
  [second, '1 second ago'],
  [2 * second, '2 seconds ago'],
  [59 * second, '59 seconds ago'],
  [minute, '1 minute ago'],
  [2 * minute, '2 minutes ago'],
  [hour, '1 hour ago'],
  [23 * hour, '23 hours ago'],
  [day, '1 day ago'],
  [6 * day, '6 days ago'],
  [7 * day, '1 week ago'],
  [15 * day, '2 weeks ago'],
  [30 * day, '1 month ago'],
  [61 * day, '2 months ago'],
  [360 * day, '1 year ago'],
  [600 * day, '2 years ago'],
  [1100 * day, '3 years ago'],
  [50 * 360 * day, 'a long while ago'],
  [-5 * minute, '5 minutes from now'],
]

for (const [milliseconds, text] of distances) {
  test(`${milliseconds} ms before now is ${text}`, () => {
    const now = new Date(2_000_000_000_000)
    assert.equal(relativeTime(new Date(now.getTime() - milliseconds), now), text)
  })
}

test('an abbreviation is that of the last change to the offset', () => {
  const zone = {
    transitions: [
      {seconds: 100, type: 1},
      {seconds: 200, type: 0},
    ],
    types: [
      {abbreviation: 'CET', offset: 3600},
      {abbreviation: 'CEST', offset: 7200},
    ],
  }

  assert.equal(abbreviationIn(zone, 150, 7200), 'CEST')
  assert.equal(abbreviationIn(zone, 250, 3600), 'CET')
  assert.equal(abbreviationIn(zone, 50, 3600), 'CET')
  assert.equal(abbreviationIn(zone, 250, 0), undefined)
})

test('table cells are padded with tabs to multiples of eight that leave a column', () => {
  const table = formatTable([
    ['UUID', 'APP', 'IMAGE NAME', 'STATE', 'CREATED', 'STARTED', 'NETWORKS'],
    ['71a713a3', 'bb', 'example.com/bb:1.0.0', 'prepared', 'now', '', ''],
  ])

  assert.equal(
    table,
    'UUID\t\tAPP\tIMAGE NAME\t\tSTATE\t\tCREATED\tSTARTED\tNETWORKS\n71a713a3\tbb\texample.com/bb:1.0.0\tprepared\tnow\t\t\n',
  )
})

test('the last cell of a row widens no column', () => {
  assert.equal(formatTable([['OPTIONS, A LONG TITLE:'], ['--x', 'text']]), 'OPTIONS, A LONG TITLE:\n--x\ttext\n')
})

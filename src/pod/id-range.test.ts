import assert from 'node:assert/strict'
import {test} from 'node:test'
import {freeBase} from './id-range.ts'

const block = 0x1_0000
const first = 0x0008_0000
const last = 0x6fff_0000

test('a range is chosen by chance among those that systemd leaves to containers', () => {
  assert.equal(
    freeBase([], () => 0),
    first,
  )
  assert.equal(
    freeBase([], () => 0.999999999),
    last,
  )
})

test('a range overlaps none that is taken, not even by one id', () => {
  const taken = [
    {base: first, count: block},
    {base: first + 2 * block - 1, count: 2},
    {base: first + 3 * block + 7, count: 1},
    {base: 0, count: 1000},
    {base: 4_000_000_000, count: block},
  ]

  assert.equal(
    freeBase(taken, () => 0),
    first + 4 * block,
  )
})

test('the search goes on at the beginning, and ends when nothing is left', () => {
  assert.equal(
    freeBase([{base: last, count: block}], () => 0.999999999),
    first,
  )
  assert.throws(() => freeBase([{base: 0, count: 0xffff_ffff}], () => 0.5), {
    code: 'RKT_ID_RANGE',
    message: /^every range of 65536 ids belongs/,
  })
})

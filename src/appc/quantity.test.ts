import assert from 'node:assert/strict'
import {test} from 'node:test'

import {causeChain} from '../errors.ts'
import {parseQuantity, quantityOf} from './index.ts'

function ruleOf(text: string): string | undefined {
  try {
    parseQuantity(text)
  } catch (thrown) {
    return causeChain(thrown).at(-1)
  }
  return undefined
}

const AMOUNTS: readonly [text: string, value: bigint, milli: bigint, printed: string][] = [
  ['0', 0n, 0n, '0'],
  ['0Ki', 0n, 0n, '0'],
  ['1', 1n, 1000n, '1'],
  ['+5', 5n, 5000n, '5'],
  ['1k', 1000n, 1_000_000n, '1k'],
  ['1Ki', 1024n, 1_024_000n, '1Ki'],
  ['300m', 1n, 300n, '300m'],
  ['0.3', 1n, 300n, '300m'],
  ['.5', 1n, 500n, '500m'],
  ['5.', 5n, 5000n, '5'],
  ['1.5', 2n, 1500n, '1500m'],
  ['1.5Gi', 1_610_612_736n, 1_610_612_736_000n, '1536Mi'],
  ['1e3', 1000n, 1_000_000n, '1e3'],
  ['1E3', 1000n, 1_000_000n, '1e3'],
  ['12E6', 12_000_000n, 12_000_000_000n, '12e6'],
  ['1e2', 100n, 100_000n, '100'],
  ['1e-3', 1n, 1n, '1e-3'],
  ['1E', 10n ** 18n, 10n ** 21n, '1E'],
  ['1Ei', 2n ** 60n, 2n ** 60n * 1000n, '1Ei'],
  ['128974848', 128_974_848n, 128_974_848_000n, '128974848'],
  ['125952Ki', 128_974_848n, 128_974_848_000n, '123Mi'],
  ['123Mi', 128_974_848n, 128_974_848_000n, '123Mi'],
  ['1000k', 1_000_000n, 1_000_000_000n, '1M'],
  ['0.5Ki', 512n, 512_000n, '512'],
  ['1.1Mi', 1_153_434n, 1_153_433_600n, '1153433600m'],
  ['16m', 1n, 16n, '16m'],
  ['1n', 1n, 1n, '1n'],
  ['1u', 1n, 1n, '1u'],
  ['-1.5', -1n, -1500n, '-1500m'],
  ['9007199254740993', 9_007_199_254_740_993n, 9_007_199_254_740_993_000n, '9007199254740993'],
  ['0.1', 1n, 100n, '100m'],
]

for (const [text, value, milli, printed] of AMOUNTS) {
  test(`${text} is exactly ${value}, ${milli} thousandths, and prints as ${printed}`, () => {
    const quantity = parseQuantity(text)

    assert.equal(quantity.value, value)
    assert.equal(quantity.milli, milli)
    assert.equal(String(quantity), printed)
    assert.equal(String(parseQuantity(printed)), printed)
    assert.equal(parseQuantity(printed).milli, milli)
  })
}

test('what is finer than a billionth is rounded away from zero', () => {
  assert.equal(String(parseQuantity('0.1n')), '1n')
  assert.equal(String(parseQuantity('-0.1n')), '-1n')
  assert.equal(String(parseQuantity('1e-50')), '1e-9')
})

test('amounts with binary suffixes end at 2^63 - 1', () => {
  assert.equal(parseQuantity('100Ei').value, 2n ** 63n - 1n)
  assert.equal(parseQuantity('100E').value, 10n ** 20n)
})

test('a text of the wrong form is refused', () => {
  for (const text of ['', 'abc', '1kb', '1 k', ' 1', '1Ki ', '0x10', '1,5', '1e3.5', '9'.repeat(300)]) {
    assert.equal(ruleOf(text), "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'", text)
  }
})

test('a number with two points or none of digits is refused', () => {
  for (const text of ['1.2.3', '.', '-.', '..1']) assert.equal(ruleOf(text), 'unable to parse numeric part of quantity', text)
})

test('an unknown suffix is refused: the kilo is a small k', () => {
  for (const text of ['1K', '1mi', '1ki', '1MM', '1-3', '1e', '1e+', '1e999999999', '1e-999999999', '1e9999999999999999999']) {
    assert.equal(ruleOf(text), "unable to parse quantity's suffix", text)
  }
})

test('a refusal names the text and says what to write', () => {
  assert.throws(() => parseQuantity('lots'), {
    code: 'RKT_BAD_QUANTITY',
    hint: 'Write a number with a suffix such as 500m, 2, 64Mi or 1G.',
    message: '"lots" is not a quantity',
  })
})

test('a count becomes an amount of either family', () => {
  assert.equal(String(quantityOf(16n * 1024n * 1024n, 'binary')), '16Mi')
  assert.equal(String(quantityOf(16_000_000n)), '16M')
})

/**
 * Amounts of a resource: `300m`, `1.5Gi`, `1e3`. Arithmetic is exact: an amount is a whole number of billionths, and what is
 * finer is rounded away from zero.
 */
import {RktError} from '../errors.ts'
import {quote} from './text.ts'

export interface Quantity {
  /** The smallest whole number not below the amount. */
  readonly value: bigint
  /** The same of the amount times a thousand. */
  readonly milli: bigint
  /** The canonical text: the largest suffix of the family it was written in that needs no fraction. */
  toString(): string
}

type Family = 'binary' | 'decimal' | 'exponent'

interface Unit {
  readonly family: Family
  /** The amount is digits × base^power. */
  readonly base: 2n | 10n
  readonly power: number
}

const NANO = 10n ** 9n
const MAX_BINARY = (2n ** 63n - 1n) * NANO
const MAX_LENGTH = 256
/** Beyond it no amount of anything lies; the bound keeps hostile exponents from filling the memory. */
const MAX_EXPONENT = 100

const PATTERN = /^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$/
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']

/** An amount; its three classes of error are a wrong form, a wrong number and an unknown suffix. */
export function parseQuantity(text: string): Quantity {
  const fail = (rule: string): never => {
    throw new RktError('RKT_BAD_QUANTITY', `${quote(text)} is not a quantity`, {
      cause: new Error(rule),
      hint: 'Write a number with a suffix such as 500m, 2, 64Mi or 1G.',
    })
  }
  const [, number, suffix] = (text.length <= MAX_LENGTH && PATTERN.exec(text)) || []
  if (number === undefined || suffix === undefined) return fail(`quantities must match the regular expression '${PATTERN.source}'`)
  const [, sign, whole, fraction = ''] = /^([+-]?)([0-9]*)(?:\.([0-9]*))?$/.exec(number) ?? []
  if (whole === undefined || whole + fraction === '') return fail('unable to parse numeric part of quantity')
  const unit = unitOf(suffix)
  if (unit === null) return fail("unable to parse quantity's suffix")
  const amount = nanos(BigInt(whole + fraction), fraction.length, unit)
  return quantity(sign === '-' ? -amount : amount, unit.family)
}

/** An amount of whole units, printed with decimal or binary suffixes. */
export function quantityOf(value: bigint, family: 'binary' | 'decimal' = 'decimal'): Quantity {
  return quantity(value * NANO, family)
}

function unitOf(suffix: string): Unit | null {
  const binary = BINARY.indexOf(suffix)
  if (binary > 0) return {base: 2n, family: 'binary', power: binary * 10}
  const decimal = DECIMAL.indexOf(suffix)
  if (decimal >= 0) return {base: 10n, family: 'decimal', power: (decimal - 3) * 3}
  const exponent = /^[eE]([-+]?[0-9]{1,9})$/.exec(suffix)?.[1]
  if (exponent === undefined || Math.abs(Number(exponent)) > MAX_EXPONENT) return null
  return {base: 10n, family: 'exponent', power: Number(exponent)}
}

/** digits / 10^decimals × base^power in billionths, rounded up, capped where the family is. */
function nanos(digits: bigint, decimals: number, {base, family, power}: Unit): bigint {
  const numerator = digits * NANO * (power > 0 ? base ** BigInt(power) : 1n)
  const denominator = 10n ** BigInt(decimals) * (power < 0 ? base ** BigInt(-power) : 1n)
  const amount = ceiling(numerator, denominator)
  return family === 'binary' && amount > MAX_BINARY ? MAX_BINARY : amount
}

function ceiling(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator
  return quotient * denominator < numerator ? quotient + 1n : quotient
}

function quantity(amount: bigint, family: Family): Quantity {
  return {milli: ceiling(amount, NANO / 1000n), toString: () => print(amount, family), value: ceiling(amount, NANO)}
}

function print(amount: bigint, family: Family): string {
  if (amount === 0n) return '0'
  const whole = amount / NANO
  const fractional = whole * NANO !== amount
  if (family === 'binary' && !fractional && (whole <= -1024n || whole >= 1024n)) {
    const [digits, step] = strip(whole, 1024n, BINARY.length - 1)
    return `${digits}${BINARY[step]}`
  }
  if (family === 'exponent') {
    const [digits, steps] = strip(amount, 1000n, Number.MAX_SAFE_INTEGER)
    return steps === 3 ? String(digits) : `${digits}e${(steps - 3) * 3}`
  }
  const [digits, step] = strip(amount, 1000n, DECIMAL.length - 1)
  return `${digits}${DECIMAL[step]}`
}

/** Divides by `base` as long as nothing is lost, at most `limit` times. */
function strip(amount: bigint, base: bigint, limit: number): [digits: bigint, steps: number] {
  let digits = amount
  let steps = 0
  while (steps < limit && digits % base === 0n) {
    digits /= base
    steps += 1
  }
  return [digits, steps]
}

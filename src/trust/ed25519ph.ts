/**
 * Ed25519ph (RFC 8032, 5.1), which cosign signs with where a key is Ed25519, and which node:crypto cannot verify. Only public values
 * are computed with, so their time may be seen.
 */
import {createHash} from 'node:crypto'

const p = 2n ** 255n - 19n
const order = 2n ** 252n + 27742317777372353535851937790883648493n
const mod = (value: bigint) => ((value % p) + p) % p

/** In extended coordinates: x = X/Z, y = Y/Z, xy = T/Z. */
type Point = readonly [X: bigint, Y: bigint, Z: bigint, T: bigint]

const d = mod(-121665n * power(121666n, p - 2n))
const rootOfMinusOne = power(2n, (p - 1n) / 4n)
const neutral: Point = [0n, 1n, 1n, 0n]
const base = decode(Buffer.from(`58${'66'.repeat(31)}`, 'hex')) ?? neutral

/** Whether a signature of 64 bytes over the bytes is by the key of 32 bytes. */
export function verifyEd25519ph(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  const prehash = createHash('sha512').update(bytes).digest()
  return verifyWith(Buffer.from('SigEd25519 no Ed25519 collisions\x01\x00', 'latin1'), key, prehash, signature)
}

/** The equation of Ed25519, with what stands in front of its hash: nothing for the plain kind. */
export function verifyWith(domain: Uint8Array, key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64 || key.length !== 32) return false
  const [r, s] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))]
  const A = decode(key)
  if (A === null || s >= order) return false
  const hash = createHash('sha512').update(domain).update(r).update(key).update(message).digest()
  const k = littleEndian(hash) % order
  const [x, y, z, t] = A
  // R = sB - kA, compared as it is encoded
  return encode(add(multiply(s, base), multiply(k, [mod(-x), y, z, mod(-t)]))).equals(Buffer.from(r))
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}

function power(value: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let [factor, rest] = [mod(value), exponent]; rest > 0n; rest >>= 1n, factor = mod(factor * factor)) {
    if (rest & 1n) result = mod(result * factor)
  }
  return result
}

function add([x1, y1, z1, t1]: Point, [x2, y2, z2, t2]: Point): Point {
  const a = mod((y1 - x1) * (y2 - x2))
  const b = mod((y1 + x1) * (y2 + x2))
  const c = mod(2n * d * t1 * t2)
  const e = mod(2n * z1 * z2)
  return [mod((b - a) * (e - c)), mod((e + c) * (b + a)), mod((e - c) * (e + c)), mod((b - a) * (b + a))]
}

function multiply(scalar: bigint, point: Point): Point {
  let result = neutral
  for (let [doubled, rest] = [point, scalar]; rest > 0n; rest >>= 1n, doubled = add(doubled, doubled)) {
    if (rest & 1n) result = add(result, doubled)
  }
  return result
}

function encode([x, y, z]: Point): Buffer {
  const inverse = power(z, p - 2n)
  const sign = mod(x * inverse) & 1n
  const value = mod(y * inverse) | (sign << 255n)
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
}

/** Null for what is no point of the curve. */
function decode(bytes: Uint8Array): Point | null {
  const value = littleEndian(bytes)
  const sign = value >> 255n
  const y = value & (2n ** 255n - 1n)
  if (y >= p) return null
  const [u, v] = [mod(y * y - 1n), mod(d * y * y + 1n)]
  let x = mod(u * power(v, 3n) * power(u * power(v, 7n), (p - 5n) / 8n))
  if (mod(v * x * x) === mod(-u)) x = mod(x * rootOfMinusOne)
  if (mod(v * x * x) !== u || (x === 0n && sign === 1n)) return null
  if ((x & 1n) !== sign) x = mod(-x)
  return [x, y, 1n, mod(x * y)]
}

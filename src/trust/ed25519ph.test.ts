import assert from 'node:assert/strict'
import {createHash, generateKeyPairSync, sign} from 'node:crypto'
import {describe, test} from 'node:test'
import {verifyEd25519ph, verifyWith} from './ed25519ph.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const order = 2n ** 252n + 27742317777372353535851937790883648493n

/** A signature of node:crypto, whose plain Ed25519 shares the equation. */
function aSignature(message: Buffer) {
  const {privateKey, publicKey} = generateKeyPairSync('ed25519')
  return {key: publicKey.export({format: 'der', type: 'spki'}).subarray(-32), signature: sign(null, message, privateKey)}
}

describe('the equation of Ed25519', () => {
  const plain = Buffer.alloc(0)

  test('holds for what node:crypto signs', () => {
    for (let round = 0; round < 16; round++) {
      const message = createHash('sha512').update(String(round)).digest()
      const {key, signature} = aSignature(message)
      assert.ok(verifyWith(plain, key, message, signature))
      assert.equal(verifyEd25519ph(key, message, signature), false)
    }
  })

  test('fails with any byte changed', () => {
    const message = Buffer.from('message')
    const {key, signature} = aSignature(message)
    for (let at = 0; at < signature.length; at++) {
      const changed = Buffer.from(signature)
      changed[at] = (changed[at] ?? 0) ^ 1
      assert.equal(verifyWith(plain, key, message, changed), false)
    }
  })

  test('fails for a second form of a good signature (s + order), points off the curve, and wrong lengths', () => {
    const message = Buffer.from('message')
    const {key, signature} = aSignature(message)
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order
    const malleable = Buffer.concat([signature.subarray(0, 32), hex(s.toString(16).padStart(64, '0')).reverse()])
    assert.equal(verifyWith(plain, key, message, malleable), false)
    for (const bad of [Buffer.alloc(32, 0xff), Buffer.concat([Buffer.from([2]), Buffer.alloc(31)]), Buffer.alloc(31)]) {
      assert.equal(verifyWith(plain, bad, message, signature), false)
    }
    assert.equal(verifyWith(plain, key, message, signature.subarray(1)), false)
  })
})

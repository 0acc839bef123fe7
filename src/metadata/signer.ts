import {createHmac, randomBytes, timingSafeEqual} from 'node:crypto'
import type {Uuid} from '../appc/index.ts'

/** Signs for pods (RFC 2104, SHA-512) with a key that lives as long as the service and is nowhere else. */
export class Signer {
  readonly #key = randomBytes(64)

  /** The MAC of the pod's identity and the content. */
  sign(uuid: Uuid, content: Buffer): Buffer {
    const identity = Buffer.from(uuid.replaceAll('-', ''), 'hex')
    return createHmac('sha512', this.#key).update(identity).update(content).digest()
  }

  /** Whether this service signed that content for that pod; takes the same time whichever byte is wrong. */
  verify(uuid: Uuid, content: Buffer, signature: Buffer): boolean {
    const expected = this.sign(uuid, content)
    return signature.length === expected.length && timingSafeEqual(signature, expected)
  }
}

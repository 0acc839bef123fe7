import type {Key} from 'openpgp'
import {RktError} from '../errors.ts'

/** All keys of an armored key file; a binary one is read as well. `failure` is the outer sentence when it holds none. */
export async function readKeys(bytes: Uint8Array, failure: string): Promise<Key[]> {
  const openpgp = await import('openpgp')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    const keys = text.subarray(0, 64).includes('-----BEGIN')
      ? await openpgp.readKeys({armoredKeys: text.toString('latin1')})
      : await openpgp.readKeys({binaryKeys: bytes})
    if (keys.length > 0) return keys
  } catch (cause) {
    throw new RktError('RKT_KEY_UNREADABLE', failure, {cause: new Error('error reading key', {cause})})
  }
  throw new RktError('RKT_KEY_UNREADABLE', failure, {cause: new Error('error reading key: the file holds no key')})
}

import type {Key} from 'openpgp'
import {RktError} from '../errors.ts'

/** Whoever sends more keys at once does not want them reviewed. */
const maxKeys = 64

/** All keys of an armored key file; a binary one is read as well. `failure` is the outer sentence when it holds none. */
export async function readKeys(bytes: Uint8Array, failure: string): Promise<Key[]> {
  const openpgp = await import('openpgp')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const refuse = (cause: Error) => new RktError('RKT_KEY_UNREADABLE', failure, {cause: new Error('error reading key', {cause})})
  let keys: Key[]
  try {
    const armored = text.includes('-----BEGIN PGP')
    keys = armored ? await readArmored(text.toString('latin1')) : await openpgp.readKeys({binaryKeys: bytes})
  } catch (cause) {
    throw refuse(cause as Error)
  }
  if (keys.length === 0) throw refuse(new Error('the file holds no key'))
  if (keys.length > maxKeys) throw refuse(new Error(`the file holds more than ${maxKeys} keys`))
  return keys
}

/** A file may hold several armored blocks, one behind the other. */
async function readArmored(text: string): Promise<Key[]> {
  const openpgp = await import('openpgp')
  const blocks = text.match(/-----BEGIN PGP [A-Z ]+-----[\s\S]*?-----END PGP [A-Z ]+-----/g) ?? [text]
  if (blocks.length > maxKeys) throw new Error(`the file holds more than ${maxKeys} armored blocks`)
  const keys: Key[] = []
  for (const block of blocks) keys.push(...(await openpgp.readKeys({armoredKeys: block})))
  return keys
}

/** Keys and signatures are gpg's own: the verdict is compared with what gpg would say. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {readKeys} from './read-keys.ts'
import {issuedByOneOf, readSignatures, verifySignatures} from './verify.ts'

let home: string
const image = Buffer.from('the bytes of an image, as they were distributed')

function gpg(args: string[], {at}: {at?: string} = {}): Buffer {
  const time = at === undefined ? [] : [`--faked-system-time=${at}!`]
  return execFileSync(
    'gpg',
    ['--homedir', home, '--batch', '--yes', '--quiet', '--no-tty', '--pinentry-mode=loopback', '--passphrase=', ...time, ...args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
}

function makeKey(
  user: string,
  algorithm: string,
  {at, expire = '0', usage = 'sign'}: {at?: string; expire?: string; usage?: string} = {},
): void {
  gpg(['--quick-generate-key', `${user} <${user}@example.com>`, algorithm, usage, expire], at === undefined ? {} : {at})
}

const publicKey = (user: string) => gpg(['--armor', '--export', `${user}@example.com`])

function sign(
  user: string,
  {armor = true, at, bytes = image, options = []}: {armor?: boolean; at?: string; bytes?: Buffer; options?: string[]} = {},
): Buffer {
  const file = join(home, 'signed')
  writeFileSync(file, bytes)
  gpg(
    [...options, ...(armor ? ['--armor'] : []), '--local-user', `${user}@example.com`, '--output', `${file}.asc`, '--detach-sign', file],
    at === undefined ? {} : {at},
  )
  return readFileSync(`${file}.asc`)
}

async function* streamOf(bytes: Uint8Array) {
  yield bytes
}

async function verify(signature: Buffer, key: Buffer, bytes = image) {
  return verifySignatures(await readSignatures(signature), await readKeys(key, 'key'), streamOf(bytes))
}

before(() => {
  home = mkdtempSync(join(tmpdir(), 'rkt-gpg-'))
})

after(() => {
  execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'])
  rmSync(home, {force: true, recursive: true})
})

describe('a detached signature', () => {
  for (const algorithm of ['rsa2048', 'ed25519', 'nistp256']) {
    test(`by a ${algorithm} key of gpg is good, armored and binary`, async () => {
      makeKey(`key-${algorithm}`, algorithm)
      const key = publicKey(`key-${algorithm}`)

      for (const armor of [true, false]) {
        const {identities} = await verify(sign(`key-${algorithm}`, {armor}), key)
        assert.deepEqual(identities, [`key-${algorithm} <key-${algorithm}@example.com>`])
      }
    })
  }

  test('over other bytes is refused', async () => {
    makeKey('tampered', 'ed25519')
    const signature = sign('tampered')
    await assert.rejects(verify(signature, publicKey('tampered'), Buffer.from('other bytes')), {code: 'RKT_SIGNATURE_INVALID'})
  })

  test('by a key that nobody trusts is refused, and known to be so before the image is read', async () => {
    makeKey('trusted', 'ed25519')
    makeKey('stranger', 'ed25519')
    const signatures = await readSignatures(sign('stranger'))
    const keys = await readKeys(publicKey('trusted'), 'key')

    assert.equal(issuedByOneOf(signatures, keys), false)
    await assert.rejects(verifySignatures(signatures, keys, streamOf(image)), {
      code: 'RKT_SIGNATURE_UNKNOWN_KEY',
      message: 'openpgp: signature made by unknown entity',
    })
  })

  test('by a signing subkey counts for its primary key', async () => {
    makeKey('with-subkey', 'ed25519', {usage: 'cert'})
    const fingerprint = /^fpr:+([\dA-F]+):/m.exec(gpg(['--with-colons', '--list-keys', 'with-subkey@example.com']).toString())?.[1] ?? ''
    gpg(['--quick-add-key', fingerprint, 'ed25519', 'sign'])
    assert.ok(await verify(sign('with-subkey'), publicKey('with-subkey')))
  })

  test('stays good after its key expired', async () => {
    makeKey('short', 'ed25519', {at: '20240101T000000', expire: '2024-06-01'})
    const signature = sign('short', {at: '20240301T000000'})
    assert.ok(await verify(signature, publicKey('short')))
  })

  test('made after its key expired is refused', async () => {
    makeKey('late', 'ed25519', {at: '20240101T000000', expire: '2024-06-01'})
    const before = publicKey('late')
    gpg([
      '--quick-set-expire',
      /^fpr:+([\dA-F]+):/m.exec(gpg(['--with-colons', '--list-keys', 'late@example.com']).toString())?.[1] ?? '',
      '0',
    ])
    const signature = sign('late', {at: '20240801T000000'})
    await assert.rejects(verify(signature, before), {code: 'RKT_SIGNATURE_INVALID'})
  })

  test('by a revoked key is refused, however good it was', async () => {
    makeKey('revoked', 'ed25519')
    const signature = sign('revoked')
    const fingerprint = /^fpr:+([\dA-F]+):/m.exec(gpg(['--with-colons', '--list-keys', 'revoked@example.com']).toString())?.[1] ?? ''
    const certificate = readFileSync(join(home, 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8').replace(/^:(-----BEGIN)/m, '$1')
    const file = join(home, 'revocation')
    writeFileSync(file, certificate)
    gpg(['--import', file])
    await assert.rejects(verify(signature, publicKey('revoked')), {
      code: 'RKT_SIGNATURE_REVOKED_KEY',
      message: 'openpgp: signature made by revoked key',
    })
  })

  for (const algorithm of ['nistp384', 'nistp521', 'rsa4096']) {
    test(`by a ${algorithm} key is good, as gpg says`, async () => {
      makeKey(`also-${algorithm}`, algorithm)
      assert.ok(await verify(sign(`also-${algorithm}`), publicKey(`also-${algorithm}`)))
    })
  }

  for (const algorithm of ['rsa1024', 'dsa2048', 'secp256k1']) {
    test(`by a weak ${algorithm} key is refused`, async () => {
      makeKey(`weak-${algorithm}`, algorithm)
      await assert.rejects(verify(sign(`weak-${algorithm}`), publicKey(`weak-${algorithm}`)), {code: 'RKT_SIGNATURE_INVALID'})
    })
  }

  test('by a key on a Brainpool curve is refused as what it is: unsupported', async () => {
    makeKey('brainpool', 'brainpoolP256r1')
    await assert.rejects(verify(sign('brainpool'), publicKey('brainpool')), {
      message: 'openpgp: unsupported feature: a key on a Brainpool curve',
    })
  })

  test('over a SHA-1 digest is refused', async () => {
    makeKey('sha1', 'rsa2048')
    const signature = sign('sha1', {options: ['--digest-algo=SHA1', '--allow-weak-digest-algos']})
    await assert.rejects(verify(signature, publicKey('sha1')), {message: 'openpgp: unsupported feature: hash algorithm sha1'})
  })

  test('over a text is refused', async () => {
    makeKey('text', 'ed25519')
    await assert.rejects(verify(sign('text', {options: ['--textmode']}), publicKey('text')), {
      message: 'openpgp: unsupported feature: a signature over something else than a binary document',
    })
  })

  test('that has expired itself is refused', async () => {
    makeKey('brief', 'ed25519', {at: '20240101T000000'})
    const signature = sign('brief', {at: '20240301T000000', options: ['--default-sig-expire=1d']})
    await assert.rejects(verify(signature, publicKey('brief')), {message: 'openpgp: invalid signature: Signature is expired'})
  })

  test('is one of several in a file, in either order', async () => {
    makeKey('first', 'ed25519')
    makeKey('second', 'rsa2048')
    const both = [sign('first', {armor: false}), sign('second', {armor: false})]
    for (const order of [both, both.toReversed()]) {
      const {identities} = await verify(Buffer.concat(order), publicKey('second'))
      assert.deepEqual(identities, ['second <second@example.com>'])
    }
  })

  test('of OpenPGP version 6, whose hash is salted, is good', async () => {
    const openpgp = await import('openpgp')
    const config = {aeadProtect: true, v6Keys: true}
    const {privateKey, publicKey: key} = await openpgp.generateKey({config, format: 'object', type: 'curve25519', userIDs: [{name: 'six'}]})
    const message = await openpgp.createMessage({binary: new Uint8Array(image)})
    const signature = await openpgp.sign({config, detached: true, format: 'binary', message, signingKeys: privateKey})
    const signatures = await readSignatures(signature as unknown as Uint8Array)
    assert.equal(signatures.packets[0]?.version, 6)

    assert.deepEqual((await verifySignatures(signatures, [key], streamOf(image))).identities, ['six'])
    await assert.rejects(verifySignatures(signatures, [key], streamOf(Buffer.from('other'))), {code: 'RKT_SIGNATURE_INVALID'})
  })

  test('can be judged twice, over different bytes, from one reading', async () => {
    makeKey('twice', 'ed25519')
    const signatures = await readSignatures(sign('twice'))
    const keys = await readKeys(publicKey('twice'), 'key')
    assert.ok(await verifySignatures(signatures, keys, streamOf(image)))
    await assert.rejects(verifySignatures(signatures, keys, streamOf(Buffer.from('other'))), {code: 'RKT_SIGNATURE_INVALID'})
    assert.ok(await verifySignatures(signatures, keys, streamOf(image)))
  })

  test('is hashed as it streams: 192 MiB cost less than 64 MiB of memory', async () => {
    makeKey('big', 'ed25519')
    const block = Buffer.alloc(1024 * 1024, 7)
    const blocks = 192
    const file = join(home, 'big')
    writeFileSync(file, Buffer.alloc(0))
    for (let at = 0; at < blocks; at += 64) writeFileSync(file, Buffer.concat(Array(64).fill(block)), {flag: 'a'})
    gpg(['--local-user', 'big@example.com', '--output', `${file}.sig`, '--detach-sign', file])
    async function* bytes() {
      for (let sent = 0; sent < blocks; sent++) {
        yield new Uint8Array(block)
        await new Promise(setImmediate)
      }
    }
    const signatures = await readSignatures(readFileSync(`${file}.sig`))
    const keys = await readKeys(publicKey('big'), 'key')
    const start = process.memoryUsage().rss
    let peak = start
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 5)

    await verifySignatures(signatures, keys, bytes())

    clearInterval(timer)
    assert.ok(peak - start < 64 * 1024 * 1024, `grew by ${Math.round((peak - start) / 1024 / 1024)} MiB`)
  })
})

describe('a signature file', () => {
  test('that is a key says so', async () => {
    makeKey('mistaken', 'ed25519')
    await assert.rejects(readSignatures(publicKey('mistaken')), {
      message: "openpgp: invalid argument: expected 'PGP SIGNATURE', got: PGP PUBLIC KEY BLOCK",
    })
  })

  test('of a thousand signatures is refused', async () => {
    makeKey('many', 'ed25519')
    await assert.rejects(readSignatures(Buffer.concat(Array(1000).fill(sign('many', {armor: false})))), {code: 'RKT_SIGNATURE_INVALID'})
  })

  test('of garbage is refused', async () => {
    await assert.rejects(readSignatures(Buffer.from('no signature at all')), {code: 'RKT_SIGNATURE_INVALID'})
    await assert.rejects(readSignatures(Buffer.alloc(0)), {code: 'RKT_SIGNATURE_INVALID'})
  })
})

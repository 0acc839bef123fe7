/** Signatures of local files, made by gpg: the scenarios of the documents. */
import assert from 'node:assert/strict'
import {chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {parseAcIdentifier} from '../appc/index.ts'
import {aHost, aKeyring, unverified} from './fixture.ts'

const name = 'rkt-prefix.com/my-app'
const unknown = 'openpgp: signature made by unknown entity'
const refusal = [`image "${name}" verification failed`, unknown]

describe('an image file that alice signed', () => {
  let keyring: ReturnType<typeof aKeyring>
  let alice: Buffer
  let bob: Buffer

  before(() => {
    keyring = aKeyring()
    alice = keyring.key('alice')
    bob = keyring.key('bob')
  })
  after(() => keyring[Symbol.dispose]())

  async function aSigned(host: ReturnType<typeof aHost>, image = name): Promise<string> {
    const path = await host.archive(image)
    keyring.sign(path, 'alice')
    return path
  }

  test('is refused without its signature', async () => {
    using host = aHost()
    const path = await host.archive(name)

    assert.deepEqual(await host.failure(path), ['error opening signature file', `open ${path}.asc: no such file or directory`])
    assert.deepEqual(await host.images(), [])
  })

  const untrusted: [string, (host: ReturnType<typeof aHost>) => Promise<unknown>][] = [
    ['no key is trusted', async () => {}],
    ['her key is trusted for another prefix', (host) => host.keystore.add(parseAcIdentifier('wrong-prefix.com/my-app'), alice)],
    ['another key is trusted for the name', (host) => host.keystore.add(parseAcIdentifier(name), bob)],
  ]
  for (const [state, trust] of untrusted) {
    test(`is refused when ${state}`, async () => {
      using host = aHost()
      await trust(host)

      assert.deepEqual(await host.failure(await aSigned(host)), refusal)
      assert.deepEqual(host.lines.slice(-2), [
        'image: If you expected the signing key to change, try running:',
        'image:     rkt trust --prefix <image>',
      ])
      assert.deepEqual(await host.images(), [])
    })
  }

  const trusted: [string, (string | null)[]][] = [
    ['for the name', [name]],
    ['for its prefix', ['rkt-prefix.com']],
    ['for the name and for others', ['wrong-prefix.com/my-app', name, 'rkt-alternative.com']],
    ['for every name', [null]],
  ]
  for (const [state, prefixes] of trusted) {
    test(`is taken when her key is trusted ${state}, and its signer is named`, async () => {
      using host = aHost()
      for (const prefix of prefixes) await host.keystore.add(prefix === null ? null : parseAcIdentifier(prefix), alice)

      await host.find(await aSigned(host))

      assert.deepEqual(await host.images(), [name])
      assert.equal(host.lines.at(-1), 'image: signature verified:\n  alice <alice@example.com>')
    })
  }

  test('with a key that is trusted for one name another name is refused', async () => {
    using host = aHost()
    await host.keystore.add(parseAcIdentifier(name), alice)

    assert.equal((await host.failure(await aSigned(host, 'rkt-alternative.com/my-app'))).at(-1), unknown)
  })

  test('is refused when it was changed behind its signature', async () => {
    using host = aHost()
    await host.keystore.add(null, alice)
    const path = await aSigned(host)
    const other = await host.archive(name, {annotations: [{name: 'evil', value: 'yes'}], file: 'other'})
    copyFileSync(other, path)

    assert.match((await host.failure(path)).at(1) ?? '', /^openpgp: invalid signature: hash tag doesn't match/)
    assert.deepEqual(await host.images(), [])
  })

  test('one that others may write is copied before it is read', async () => {
    using host = aHost()
    await host.keystore.add(null, alice)
    const path = await aSigned(host)
    chmodSync(path, 0o666)

    await host.find(path)

    assert.deepEqual([await host.images(), host.tmp()], [[name], []])
  })

  test('is judged by the signature that the user names', async () => {
    using host = aHost()
    await host.keystore.add(null, alice)
    const path = await aSigned(host)
    const signature = join(host.dir, 'elsewhere')
    writeFileSync(signature, readFileSync(`${path}.asc`))
    rmSync(`${path}.asc`)

    await host.find(path, {signature})
    writeFileSync(signature, alice)
    assert.equal(
      (await host.failure(path, {signature})).at(1),
      "openpgp: invalid argument: expected 'PGP SIGNATURE', got: PGP PUBLIC KEY BLOCK",
    )
    assert.deepEqual(await host.failure(path, {signature: '/nosuch'}), [
      'error opening signature file',
      'open /nosuch: no such file or directory',
    ])
  })

  test('needs neither signature nor key with the insecure option', async () => {
    using host = aHost()

    await host.find(await host.archive(name), unverified)

    assert.deepEqual([await host.images(), host.lines.length], [[name], 1])
  })

  test('an archive that is none is called so, signature or not', async () => {
    using host = aHost()
    const path = join(host.dir, 'page.aci')
    writeFileSync(path, '<html>')
    keyring.sign(path, 'alice')

    assert.equal((await host.failure(path))[0], `cannot import ${path}`)
  })
})

import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {after, before, beforeEach, describe, test} from 'node:test'
import {parseAcIdentifier} from '../appc/index.ts'
import {formatFingerprint} from './describe-keys.ts'
import {openKeystore} from './keystore.ts'
import {readKeys} from './read-keys.ts'

let home: string
let directories: {local: string; system: string}
const keys: Record<string, {armored: Buffer; fingerprint: string}> = {}
const name = parseAcIdentifier

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'rkt-keys-'))
  const gpg = (args: string[]) =>
    execFileSync('gpg', ['--homedir', home, '--batch', '--quiet', '--passphrase=', '--pinentry-mode=loopback', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  for (const user of ['one', 'two']) {
    gpg(['--quick-generate-key', `${user} <${user}@example.com>`, 'ed25519', 'sign', '0'])
    const armored = gpg(['--armor', '--export', `${user}@example.com`])
    const [key] = await readKeys(armored, 'key')
    keys[user] = {armored, fingerprint: key?.getFingerprint() ?? ''}
  }
  keys.both = {armored: gpg(['--armor', '--export']), fingerprint: ''}
})

after(() => {
  execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'])
  rmSync(home, {force: true, recursive: true})
})

beforeEach(() => {
  const dir = mkdtempSync(join(home, 'store-'))
  directories = {local: join(dir, 'local'), system: join(dir, 'system')}
})

function put(root: string, path: string, user: string | null): void {
  const file = join(root, 'trustedkeys', path, keys[user ?? 'one']?.fingerprint ?? '')
  mkdirSync(dirname(file), {recursive: true})
  writeFileSync(file, user === null ? '' : (keys[user]?.armored ?? ''))
}

const trusted = async (image: string) => (await openKeystore(directories).keysFor(name(image))).map((key) => key.getFingerprint())

describe('the keystore', () => {
  test('gives root keys for every name and prefix keys for names below their prefix, by string prefix', async () => {
    put(directories.system, 'root.d', 'one')
    put(directories.local, 'prefix.d/example.com/app', 'two')
    const [one, two] = [keys.one?.fingerprint, keys.two?.fingerprint]

    assert.deepEqual(await trusted('example.com/app'), [one, two])
    assert.deepEqual(await trusted('example.com/app/sub'), [one, two])
    assert.deepEqual(await trusted('example.com/app-two'), [one, two])
    assert.deepEqual(await trusted('example.com/other'), [one])
    assert.deepEqual(await trusted('other.com/app'), [one])
  })

  test('lets an empty local file mask a key of the system', async () => {
    put(directories.system, 'prefix.d/example.com', 'one')
    put(directories.local, 'prefix.d/example.com', null)
    assert.deepEqual(await trusted('example.com/app'), [])
  })

  test('refuses everything when a file is not the key that its name says', async () => {
    const file = join(directories.local, 'trustedkeys/root.d', keys.one?.fingerprint ?? '')
    mkdirSync(dirname(file), {recursive: true})
    writeFileSync(file, keys.two?.armored ?? '')
    await assert.rejects(trusted('example.com/app'), {code: 'RKT_KEYRING_UNREADABLE'})
  })

  test('stores each key of a file under its own fingerprint, readable by all whatever the umask', async () => {
    const umask = process.umask(0o077)
    try {
      await openKeystore(directories).add(name('example.com/app'), keys.both?.armored ?? Buffer.alloc(0))
    } finally {
      process.umask(umask)
    }
    const dir = join(directories.local, 'trustedkeys/prefix.d/example.com/app')

    assert.deepEqual(readdirSync(dir), [keys.one?.fingerprint, keys.two?.fingerprint].sort())
    assert.equal(statSync(dir).mode & 0o777, 0o755)
    assert.equal(statSync(join(dir, keys.one?.fingerprint ?? '')).mode & 0o777, 0o644)
    assert.equal((await trusted('example.com/app')).length, 2)
  })

  test('stores the keys of several armored blocks in one file', async () => {
    const file = Buffer.concat([
      keys.one?.armored ?? Buffer.alloc(0),
      Buffer.from('\nA note between them\n'),
      keys.two?.armored ?? Buffer.alloc(0),
    ])
    const stored = await openKeystore(directories).add(null, file)
    assert.deepEqual(
      stored.map(({fingerprint}) => fingerprint),
      [keys.one?.fingerprint, keys.two?.fingerprint],
    )
  })

  test('never stores what is secret of a key', async () => {
    const secret = execFileSync('gpg', [
      '--homedir',
      home,
      '--batch',
      '--pinentry-mode=loopback',
      '--passphrase=',
      '--armor',
      '--export-secret-keys',
      'one@example.com',
    ])
    const [stored] = await openKeystore(directories).add(null, secret)
    assert.match(readFileSync(stored?.path ?? '', 'utf8'), /^-----BEGIN PGP PUBLIC KEY BLOCK-----/)
  })

  test('knows whether a prefix or a parent of it has keys; root keys do not count', async () => {
    put(directories.local, 'root.d', 'one')
    const keystore = openKeystore(directories)
    assert.equal(keystore.hasKeysFor(name('example.com/app')), false)
    put(directories.local, 'prefix.d/example.com', 'two')
    assert.equal(keystore.hasKeysFor(name('example.com/app')), true)
  })

  test('refuses a prefix that would leave its directory', async () => {
    await assert.rejects(openKeystore(directories).add(name('a/../../b'), keys.one?.armored ?? Buffer.alloc(0)), {
      code: 'RKT_BAD_PREFIX',
    })
  })

  test('stores nothing of a file that holds no key', async () => {
    await assert.rejects(openKeystore(directories).add(null, Buffer.from('no key')), {code: 'RKT_KEY_UNREADABLE'})
    assert.throws(() => readdirSync(join(directories.local, 'trustedkeys')))
  })
})

test('a fingerprint is shown in groups of four with two blanks in the middle', () => {
  assert.equal(formatFingerprint('f9470cbbdfcfcb0b59c323452688e5d7a4ce59fd'), 'F947 0CBB DFCF CB0B 59C3  2345 2688 E5D7 A4CE 59FD')
})

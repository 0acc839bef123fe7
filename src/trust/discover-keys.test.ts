import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, beforeEach, describe, test} from 'node:test'
import {parseAcIdentifier} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {HttpDocument} from '../http/index.ts'
import {type DiscoverKeysOptions, discoverKeys} from './discover-keys.ts'
import {type Keystore, openKeystore} from './keystore.ts'

const name = parseAcIdentifier('example.com/app')
const secure = {http: false, pubkey: false, tls: false}

let home: string
let armored: Buffer
let keystore: Keystore
let lines: string[]
let located: boolean[]

before(() => {
  home = mkdtempSync(join(tmpdir(), 'rkt-discover-keys-'))
  const gpg = (args: string[]) =>
    execFileSync('gpg', ['--homedir', home, '--batch', '--quiet', '--pinentry-mode=loopback', '--passphrase=', ...args], {stdio: 'pipe'})
  gpg(['--quick-generate-key', 'publisher <p@example.com>', 'ed25519', 'sign', '0'])
  armored = gpg(['--armor', '--export'])
})

after(() => {
  execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'])
  rmSync(home, {recursive: true})
})

beforeEach(() => {
  const dir = mkdtempSync(join(home, 'etc-'))
  keystore = openKeystore({local: dir, system: join(dir, 'system')})
  lines = []
  located = []
})

interface Setting extends Partial<DiscoverKeysOptions> {
  /** What the reviewer types; nobody is there without it. */
  readonly answer?: string
  readonly locations?: readonly string[]
  readonly served?: Buffer
}

async function discover({
  answer,
  insecure = secure,
  locations = ['https://example.com/k.asc'],
  served = armored,
  trustKeysFromHttps = false,
}: Setting) {
  const note = (prefix: string, message: string) => lines.push(`${prefix}: ${message}`)
  const page = (url: URL): HttpDocument => ({bytes: served, headers: {}, method: 'GET', requested: url, status: 200, url})
  await discoverKeys(
    {
      diagnostics: {debug: note, note},
      http: {read: async (url) => page(url)},
      keystore,
      locate: async (_, {allowHttp}) => {
        located.push(allowHttp)
        if (locations.length > 0) return locations
        throw new RktError('RKT_DISCOVERY_FAILED', 'discovery failed')
      },
      print: (line) => lines.push(line),
      reviewer: {isThere: () => answer !== undefined, line: async () => answer ?? null},
    },
    name,
    {insecure, trustKeysFromHttps},
  )
}

describe('before an image is fetched by name', () => {
  test('a key of its publisher that the reviewer wants is trusted for exactly that name', async () => {
    await discover({answer: 'yes'})
    assert.equal(keystore.hasKeysFor(name), true)
    assert.equal(keystore.hasKeysFor(parseAcIdentifier('example.com')), false)
    assert.ok(lines.includes('Trusting "https://example.com/k.asc" for prefix "example.com/app" after fingerprint review.'))
  })

  test('one that the reviewer does not want is not, and the fetch goes on', async () => {
    await discover({answer: 'no'})
    assert.equal(keystore.hasKeysFor(name), false)
    assert.equal(lines.at(-1), 'pubkey: not trusting "https://example.com/k.asc"')
  })

  test('without anybody to ask nothing is trusted, and the fetch goes on', async () => {
    await discover({})
    assert.equal(keystore.hasKeysFor(name), false)
    assert.equal(lines.at(-1), 'image: error adding keys: unable to ask user to review fingerprint due to lack of tty')
  })

  test('--trust-keys-from-https asks nobody', async () => {
    await discover({trustKeysFromHttps: true})
    assert.equal(keystore.hasKeysFor(name), true)
  })

  test('nobody is asked where there are keys already', async () => {
    await keystore.add('example.com', armored)
    await discover({answer: 'yes'})
    assert.deepEqual(lines, ['image: keys already exist for prefix "example.com/app", not fetching again'])
    assert.deepEqual(located, [])
  })

  test('root keys do not count as such', async () => {
    await keystore.add(null, armored)
    await discover({answer: 'yes'})
    assert.deepEqual(located, [false])
  })

  test('without certificates no key is looked for, unless keys need none', async () => {
    await discover({answer: 'yes', insecure: {...secure, tls: true}})
    assert.deepEqual([located, lines], [[], []])
    await discover({answer: 'no', insecure: {http: false, pubkey: true, tls: true}})
    assert.equal(lines[0], 'image: signing keys may be downloaded from an insecure connection')
    assert.deepEqual(located, [false])
  })

  test('http serves only where both options allow it', async () => {
    const locations = ['http://example.com/k.asc']
    await discover({answer: 'yes', insecure: {...secure, http: true}, locations})
    assert.equal(lines.at(-1), 'image: error adding keys: --insecure-allow-http required for http URLs')
    await discover({answer: 'yes', insecure: {http: true, pubkey: true, tls: false}, locations})
    assert.deepEqual(located, [false, true])
    assert.equal(keystore.hasKeysFor(name), true)
  })

  test('a page without keys, and a key that is none, are noted', async () => {
    await discover({locations: []})
    assert.deepEqual(lines, ['image: error determining key location: discovery failed'])
    await discover({answer: 'yes', served: Buffer.from('<html>')})
    assert.match(lines.at(-1) ?? '', /^image: error adding keys: /)
    assert.equal(keystore.hasKeysFor(name), false)
  })
})

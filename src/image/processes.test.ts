/** Real processes that fetch: many at once, killed ones, large images. */
import assert from 'node:assert/strict'
import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {chmodSync, closeSync, createReadStream, openSync, readdirSync, readFileSync, statSync, writeSync} from 'node:fs'
import type {ServerResponse} from 'node:http'
import {join} from 'node:path'
import {text} from 'node:stream/consumers'
import {after, before, describe, test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {pack} from 'tar-stream'
import {hostLabels} from '../appc/index.ts'
import {aHost, aKeyring, aServer} from './fixture.ts'

const isLong = process.env.RKT_TEST_LONG !== undefined
const script = join(import.meta.dirname, 'fetch-once.fixture.ts')

interface Outcome {
  readonly key: string
  /** KiB */
  readonly peak: number
}

function start(host: ReturnType<typeof aHost>, url: string, user: {uid?: number; gid?: number} = {}): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, host.cas, host.dir, url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  })
}

async function outcome(child: ChildProcess): Promise<Outcome & {errors: string}> {
  assert.ok(child.stdout !== null && child.stderr !== null)
  const [said, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  assert.ok(said !== '', errors)
  return {...(JSON.parse(said) as Outcome), errors}
}

describe('processes', () => {
  let keyring: ReturnType<typeof aKeyring>
  let alice: Buffer

  before(() => {
    keyring = aKeyring()
    alice = keyring.key('alice')
  })
  after(() => keyring[Symbol.dispose]())

  /** An archive of `size` bytes that do not compress, its signature, and who believes it. */
  async function aLargeImage(host: ReturnType<typeof aHost>, size: number): Promise<string> {
    await host.keystore.add(null, alice)
    const path = join(host.dir, 'large.aci')
    const fd = openSync(path, 'w')
    const tar = pack()
    const written = (async () => {
      for await (const chunk of tar) writeSync(fd, chunk as Buffer)
    })()
    const manifest = {acKind: 'ImageManifest', acVersion: '0.8.11', labels: hostLabels(), name: 'localhost/large'}
    tar.entry({name: 'manifest'}, JSON.stringify(manifest))
    tar.entry({name: 'rootfs', type: 'directory'})
    const file = tar.entry({name: 'rootfs/large', size})
    const block = Buffer.alloc(1 << 20)
    for (let at = 0; at < size; at += block.length) {
      for (let word = 0; word < block.length; word += 4) block.writeUInt32LE((at + word * 2654435761) >>> 0, word)
      const part = Buffer.from(block.subarray(0, Math.min(block.length, size - at)))
      if (!file.write(part)) await once(file, 'drain')
    }
    file.end(undefined)
    tar.finalize()
    await written
    closeSync(fd)
    keyring.sign(path, 'alice')
    return path
  }

  /** Sends the archive in pieces over about `ms`, from where it is asked to; counts the bytes. */
  async function aSlowServer(path: string, ms: number) {
    const counted = {archives: 0, bytes: 0}
    const [bytes, signature] = [readFileSync(path), readFileSync(`${path}.asc`)]
    const send = async (response: ServerResponse, from: number) => {
      const piece = Math.ceil(bytes.length / 20)
      for (let at = from; at < bytes.length && !response.destroyed; at += piece) {
        const part = bytes.subarray(at, at + piece)
        counted.bytes += part.length
        response.write(part)
        await sleep(ms / 20)
      }
      response.end()
    }
    const server = await aServer((request, response) => {
      if (request.url?.endsWith('.asc')) return void response.writeHead(200).end(signature)
      counted.archives += 1
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      const range = from === 0 ? {} : {'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`}
      response.writeHead(from === 0 ? 200 : 206, {'content-length': bytes.length - from, etag: '"1"', ...range})
      void send(response, from)
    })
    return Object.assign(server, {counted, size: bytes.length})
  }

  test('ten that fetch one URL at once cost one download, and all succeed', async () => {
    using host = aHost()
    using server = await aSlowServer(await aLargeImage(host, 1 << 20), 4000)

    const outcomes = await Promise.all(Array.from({length: 10}, () => outcome(start(host, `${server.url}/large.aci`))))

    assert.equal(new Set(outcomes.map(({key}) => key)).size, 1)
    assert.deepEqual([server.counted, host.tmp()], [{archives: 1, bytes: server.size}, []])
    const waiting = outcomes.filter(({errors}) => errors.includes('another rkt instance is downloading this file, waiting...'))
    assert.equal(waiting.length, 9)
  })

  test('one killed at any moment leaves no image that is not whole, and nothing that stays', async () => {
    using host = aHost()
    using server = await aSlowServer(await aLargeImage(host, 1 << 20), 200)
    const url = `${server.url}/large.aci`
    const started = performance.now()
    const {key} = await outcome(start(host, url))
    const whole = performance.now() - started
    await host.store.remove(host.store.resolveKey(key))

    for (let round = 0; round < (isLong ? 100 : 20); round++) {
      const child = start(host, url)
      const closed = once(child, 'close')
      await sleep(Math.random() * whole)
      child.kill('SIGKILL')
      await closed
      const images = await host.store.list()
      for (const image of images) {
        assert.equal(image.key, key)
        await host.store.verifiedManifest(image.key)
        await host.store.remove(image.key)
      }
      const left = host.tmp().filter((name) => !/^sha512-[\da-f]{64}(\.etag)?$|^[\da-f-]{36}$/.test(name))
      assert.deepEqual(left, [], 'besides a download that can be continued, or a small file about to be renamed')
    }

    await outcome(start(host, url))
    await host.store.remove(host.store.resolveKey(key))
    await host.store.sweep()
    const left = readdirSync(host.cas, {recursive: true, withFileTypes: true}).filter((entry) => entry.isFile())
    assert.deepEqual(
      left.map((entry) => entry.name).filter((name) => /sha512-|\.json$|[\da-f]{8}-/.test(name)),
      [],
    )
  })

  test('what one that was killed has downloaded is not transferred again', async () => {
    using host = aHost()
    using server = await aSlowServer(await aLargeImage(host, 1 << 20), 3000)
    host.store.tmpDir()
    const url = `${server.url}/large.aci`
    const child = start(host, url)
    const partial = () => host.tmp().find((name) => /^sha512-[\da-f]{64}$/.test(name))
    while ((partial() === undefined ? 0 : statSync(join(host.cas, 'tmp', partial() ?? '')).size) < 1 << 18) await sleep(20)
    child.kill('SIGKILL')
    await once(child, 'close')

    await outcome(start(host, url))

    assert.match(server.asked.at(-1) ?? '', /^GET \/large\.aci - bytes=\d+-$/)
    assert.deepEqual(await host.images(), ['localhost/large'])
  })

  test('a member of the group fetches, root does not take its word, and neither gets in the other’s way', {
    skip: process.geteuid?.() !== 0,
  }, async () => {
    using host = aHost()
    using server = await aSlowServer(await aLargeImage(host, 1 << 20), 20)
    const url = `${server.url}/large.aci`
    const member = {gid: 4711, uid: 65534}
    host.store.tmpDir()
    chmodSync(host.dir, 0o755)
    execFileSync('chgrp', ['-R', String(member.gid), host.cas])

    const {key} = await outcome(start(host, url, member))
    const name = 'localhost/large'
    assert.match((await host.failure(name, {pullPolicy: 'never'}))[0] ?? '', /^unable to fetch image from image name "localhost\/large"/)
    await assert.rejects(host.find(url, {pullPolicy: 'never'}), {hint: /imported by a member of the group/})
    assert.equal(await host.find(key), key, 'who names the content knows what it is')

    assert.equal(await host.find(url), key)
    assert.equal(server.counted.archives, 2, 'root fetched it itself')
    assert.equal(await host.find(name, {pullPolicy: 'never'}), key)

    assert.equal((await outcome(start(host, url, member))).key, key)
    await host.store.remove(host.store.resolveKey(key))
    assert.equal((await outcome(start(host, url, member))).key, key)
    assert.deepEqual(host.tmp(), [])
  })

  test('memory stays flat, however large the image is', {timeout: 300_000}, async () => {
    using host = aHost()
    const path = await aLargeImage(host, (isLong ? 2048 : 512) * 2 ** 20)
    using server = await aServer((request, response) => {
      const file = request.url?.endsWith('.asc') ? `${path}.asc` : path
      response.writeHead(200, {'content-length': statSync(file).size})
      createReadStream(file).pipe(response)
    })

    const {peak} = await outcome(start(host, `${server.url}/large.aci`))

    assert.ok(peak < 256 * 1024, `${peak} KiB`)
  })
})

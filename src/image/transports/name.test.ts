/** Images by name: discovery over TLS, keys of the publisher, what the image has to be, dependencies. */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {after, before, describe, test} from 'node:test'
import {parseAcIdentifier} from '../../appc/index.ts'
import {SECURE} from '../../config/index.ts'
import {type ArchiveParts, aHost, aKeyring, aServer, aTlsServer, files, type HostOptions, unverified} from '../fixture.ts'

describe('an image of a publisher', () => {
  let keyring: ReturnType<typeof aKeyring>
  let alice: Buffer

  before(() => {
    keyring = aKeyring()
    alice = keyring.key('alice')
  })
  after(() => keyring[Symbol.dispose]())

  /** A publisher at localhost, whose templates ignore labels, and a host that believes its certificate. */
  async function aPublisher(options: HostOptions = {}, {keys = true}: {keys?: boolean} = {}) {
    const content = new Map<string, Buffer | string>()
    const server = await aTlsServer((request, response) => {
      const path = (request.url ?? '').replace(/\?ac-discovery=1$/, '')
      const body = request.url === path ? content.get(path) : page
      if (body === undefined) response.writeHead(404).end()
      else response.writeHead(200, {etag: '"1"'}).end(body)
    })
    const base = `https://localhost:${server.port}`
    const keysTag = keys ? `<meta name="ac-discovery-pubkeys" content="localhost ${base}/key">` : ''
    const page = `<meta name="ac-discovery" content="localhost ${base}/{name}.{ext}">${keysTag}`
    content.set('/key', alice)
    const host = aHost({ca: server.ca, discoveryPort: server.port, ...options})
    return {
      host,
      async publish(name: string, parts: ArchiveParts = {}, at = name): Promise<void> {
        const path = await host.archive(name, parts)
        content.set(`/${at}.aci`, readFileSync(path))
        content.set(`/${at}.aci.asc`, readFileSync(keyring.sign(path, 'alice')))
      },
      server,
      [Symbol.dispose]() {
        host[Symbol.dispose]()
        server[Symbol.dispose]()
      },
    }
  }

  test('is found by discovery, verified by a trusted key, and stored under its distribution point', async () => {
    using publisher = await aPublisher()
    const {host, server} = publisher
    await publisher.publish('localhost/app')
    await host.keystore.add(parseAcIdentifier('localhost/app'), alice)

    const key = await host.find('localhost/app')

    assert.deepEqual(
      server.asked.map((line) => line.split(' ')[1]),
      ['/app?ac-discovery=1', '/localhost/app.aci.asc', '/localhost/app.aci'],
    )
    assert.match(host.store.info(key).source, /^cimd:appc:v=0:localhost\/app\?arch=\w+&os=linux$/)
    assert.equal(host.store.info(key).latest, true)
    assert.deepEqual(
      host.lines.filter((line) => !/ TLS|proxy/.test(line)),
      [
        'image: searching for app image localhost/app',
        `image: remote fetching from URL "https://localhost:${server.port}/localhost/app.aci"`,
        'image: keys already exist for prefix "localhost/app", not fetching again',
        `image: fetching image from https://localhost:${server.port}/localhost/app.aci`,
        `image: downloading signature from https://localhost:${server.port}/localhost/app.aci.asc`,
        'image: signature verified:\n  alice <alice@example.com>',
      ],
    )
  })

  test('is not asked for without TLS, where its page leads, unless that was allowed', async () => {
    using host = aHost()
    const archive = readFileSync(await host.archive('localhost/app'))
    using plain = await aServer(files(new Map([['/localhost/app.aci', archive]])))
    using server = await aTlsServer((_, response) => {
      response.writeHead(200).end(`<meta name="ac-discovery" content="localhost ${plain.url}/{name}.{ext}">`)
    })
    using asker = aHost({ca: server.ca, discoveryPort: server.port})

    assert.deepEqual((await asker.failure('localhost/app', unverified)).slice(0, 2), [
      'discovery failed for "localhost/app"',
      `the page of localhost/app leads to ${plain.url}/localhost/app.aci, which is not encrypted`,
    ])
    assert.deepEqual(plain.asked, [])
    await asker.find('localhost/app', {insecure: {...SECURE, http: true, image: true}})
  })

  test('is not downloaded where no trusted key made its signature', async () => {
    using publisher = await aPublisher({}, {keys: false})
    await publisher.publish('localhost/app')

    assert.deepEqual(await publisher.host.failure('localhost/app'), [
      'image "localhost/app" verification failed',
      'openpgp: signature made by unknown entity',
    ])
    assert.deepEqual(publisher.host.lines.slice(-2), [
      'image: if you expected the signing key to change, try running:',
      'image:     rkt trust --prefix "localhost/app"',
    ])
    assert.ok(!publisher.server.asked.some((line) => line.includes('app.aci -')))
  })

  test('brings its key along where keys from https are trusted', async () => {
    using publisher = await aPublisher({trustKeysFromHttps: true})
    await publisher.publish('localhost/app')

    await publisher.host.find('localhost/app')

    assert.deepEqual(await publisher.host.images(), ['localhost/app'])
    assert.ok(publisher.host.keystore.hasKeysFor(parseAcIdentifier('localhost/app')))
  })

  test('is asked for each time with the policy update, and sent once', async () => {
    using publisher = await aPublisher()
    const {host, server} = publisher
    await publisher.publish('localhost/app')
    await host.keystore.add(null, alice)
    const key = await host.find('localhost/app', {pullPolicy: 'update'})

    assert.equal(await host.find('localhost/app', {pullPolicy: 'update'}), key)
    assert.equal(server.asked.at(-1), 'GET /localhost/app.aci "1"')
  })

  const others: [string, string][] = [
    ['localhost/app:2.0', 'requested value for label "version": "2.0" differs from fetched aci label value: "1.2.0"'],
    ['localhost/app:latest', 'requested value for label "version": "latest" differs from fetched aci label value: "1.2.0"'],
    ['localhost/app,arch=armv7b', 'requested value for label "arch": "armv7b" differs from fetched aci label value: "amd64"'],
    ['localhost/app,unexistinglabel=bla', 'requested label "unexistinglabel" not provided by the image manifest'],
    ['localhost/other', 'error when reading the app name: "localhost/other" expected but "localhost/app" found'],
  ]
  for (const [reference, message] of others) {
    test(`is refused for ${reference} when it is localhost/app:1.2.0`, {skip: process.arch !== 'x64'}, async () => {
      using publisher = await aPublisher()
      await publisher.publish('localhost/app', {version: '1.2.0'})
      await publisher.publish('localhost/app', {version: '1.2.0'}, 'localhost/other')
      await publisher.host.keystore.add(null, alice)

      assert.deepEqual(await publisher.host.failure(reference), [message])
      assert.deepEqual([await publisher.host.images(), publisher.host.tmp()], [[], []])
      await publisher.host.find('localhost/app:1.2.0')
    })
  }

  test('is refused for another version than the stored one, also when the server has nothing newer', async () => {
    using publisher = await aPublisher()
    await publisher.publish('localhost/app', {version: '1.2.0'})
    await publisher.host.keystore.add(null, alice)
    await publisher.host.find('localhost/app:1.2.0')

    assert.deepEqual(await publisher.host.failure('localhost/app:2.0'), [
      'requested value for label "version": "2.0" differs from fetched aci label value: "1.2.0"',
    ])
    assert.equal(publisher.server.asked.at(-1), 'GET /localhost/app.aci "1"')
  })

  test('is taken whatever it is without verification', async () => {
    using publisher = await aPublisher()
    await publisher.publish('localhost/app', {}, 'localhost/other')

    await publisher.host.find('localhost/other', unverified)

    assert.deepEqual(await publisher.host.images(), ['localhost/app'])
  })

  test('whose page does not name it is not found', async () => {
    using publisher = await aPublisher()
    await publisher.publish('localhost/app')

    assert.deepEqual(await publisher.host.failure('example.invalid/app', {insecure: {...SECURE, tls: true}}), [
      'discovery failed for "example.invalid/app"',
      'discovery failed',
    ])
  })

  const on = (...names: string[]) => ({dependencies: names.map((imageName) => ({imageName}))})

  test('comes with all that it depends on, breadth first, each once', async () => {
    using publisher = await aPublisher()
    const {host, server} = publisher
    await host.keystore.add(null, alice)
    await publisher.publish('localhost/a', on('localhost/b', 'localhost/c', 'localhost/d'))
    await publisher.publish('localhost/b', on('localhost/base'))
    await publisher.publish('localhost/c', on('localhost/b', 'localhost/e'))
    await publisher.publish('localhost/d', on('localhost/b', 'localhost/e'))
    await publisher.publish('localhost/e', on('localhost/base'))
    await publisher.publish('localhost/base')
    await host.find('localhost/base')
    server.asked.length = 0

    await host.find('localhost/a')

    const archives = server.asked.flatMap((line) => /^GET \/localhost\/(\w+)\.aci -$/.exec(line)?.[1] ?? [])
    assert.deepEqual(archives, ['a', 'b', 'c', 'd', 'e'])
    assert.equal(host.lines.filter((line) => line === 'image: using image from local store for image name localhost/base').length, 1)
  })

  test('is refused when it depends on itself', async () => {
    using publisher = await aPublisher()
    await publisher.host.keystore.add(null, alice)
    await publisher.publish('localhost/a', on('localhost/b'))
    await publisher.publish('localhost/b', on('localhost/a'))

    assert.deepEqual(await publisher.host.failure('localhost/a'), [
      'image "localhost/a" depends on itself: localhost/a -> localhost/b -> localhost/a',
    ])
  })

  test('finds what it depends on in the store, where no page says more, also with the policy update', async () => {
    using publisher = await aPublisher()
    await publisher.host.find(await publisher.host.archive('example.invalid/base'), unverified)
    const top = await publisher.host.archive('example.invalid/top', on('example.invalid/base'))

    await publisher.host.find(top, {...unverified, pullPolicy: 'update'})

    assert.match(publisher.host.lines.at(-1) ?? '', /^image: warning: discovery failed for "example.invalid\/base", using/)
    await publisher.host.failure(await publisher.host.archive('example.invalid/needy', on('example.invalid/nosuch')), unverified)
    assert.deepEqual((await publisher.host.images()).sort(), ['example.invalid/base', 'example.invalid/top'])
  })

  test('a dependency by another’s key is refused, also when the user signed for the image himself', async () => {
    using publisher = await aPublisher({}, {keys: false})
    await publisher.host.keystore.add(parseAcIdentifier('localhost/a'), alice)
    await publisher.publish('localhost/a', on('localhost/b'))
    await publisher.publish('localhost/b')

    assert.equal((await publisher.host.failure('localhost/a'))[0], 'image "localhost/b" verification failed')
    assert.deepEqual(await publisher.host.images(), [])
  })
})

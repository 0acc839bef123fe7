/** Archives over http: caching, resuming, sharing, and what a server can do wrong. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {describe, test} from 'node:test'
import {loadConfig, SECURE} from '../../config/index.ts'
import {aHost, aKeyring, aServer, aTlsServer, files, unverified, write} from '../fixture.ts'

test('the pull policy decides whether the server is asked, and an ETag whether it sends the image again', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('example.com/app'))
  using server = await aServer((request, response) => {
    if (request.headers['if-none-match'] === '"tag"') return void response.writeHead(304).end()
    response.writeHead(200, {'content-length': bytes.length, etag: '"tag"'}).end(bytes)
  })
  const url = `${server.url}/app.aci`

  const key = await host.find(url, unverified)
  for (const pullPolicy of ['new', 'never'] as const) assert.equal(await host.find(url, {...unverified, pullPolicy}), key)
  assert.deepEqual(server.asked, ['GET /app.aci -'])
  assert.equal(await host.find(url, {...unverified, pullPolicy: 'update'}), key)
  assert.deepEqual(server.asked, ['GET /app.aci -', 'GET /app.aci "tag"'])

  await host.store.remove(key)
  assert.equal(await host.find(url, {...unverified, pullPolicy: 'update'}), key)
  assert.equal(server.asked.at(-1), 'GET /app.aci -', 'with the image its record is forgotten')
})

test('an image that is fresh by max-age is not asked for, also with update', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('example.com/app'))
  using server = await aServer(files(new Map([['/app.aci', bytes]]), {'cache-control': 'public, max-age=60'}))
  const url = `${server.url}/app.aci`

  const key = await host.find(url, {...unverified, pullPolicy: 'update'})

  assert.equal(await host.find(url, {...unverified, pullPolicy: 'update'}), key)
  assert.deepEqual([server.asked.length, host.lines.at(-1)], [1, `image: image for ${url} isn't expired, not fetching.`])
})

test('an image that was damaged in the store is sent again, whatever its ETag and its age are', async () => {
  for (const headers of [{etag: '"tag"'}, {'cache-control': 'max-age=60'}]) {
    using host = aHost()
    const bytes = readFileSync(await host.archive('example.com/app'))
    using server = await aServer((request, response) => {
      if (request.headers['if-none-match'] !== undefined) response.writeHead(304).end()
      else response.writeHead(200, headers).end(bytes)
    })
    const url = `${server.url}/app.aci`
    const key = await host.find(url, unverified)
    const blob = host.store.blobPath(key)
    const sound = readFileSync(blob)
    writeFileSync(blob, Buffer.from(sound).fill('x', 600, 601))

    assert.equal(await host.find(url, {...unverified, pullPolicy: 'update'}), key)

    assert.deepEqual(readFileSync(blob), sound)
    assert.deepEqual(server.asked, ['GET /app.aci -', 'GET /app.aci -'])
    assert.ok(host.lines.includes(`image: warning: the image of ${url} is damaged in the store, fetching it again`))
  }
})

test('redirects are followed, ten of them', async () => {
  using host = aHost()
  const bytes = readFileSync(await host.archive('example.com/app'))
  using server = await aServer((request, response) => {
    const left = Number(/\d+/.exec(request.url ?? '')?.[0] ?? 0)
    if (left > 0) response.writeHead(302, {location: `/${left - 1}.aci`}).end()
    else response.writeHead(200).end(bytes)
  })

  await host.find(`${server.url}/10.aci`, unverified)
  assert.equal((await host.failure(`${server.url}/11.aci`, unverified)).at(-1), 'too many redirects')
})

test('credentials of the configuration go to their host over https, and not with a redirect', async () => {
  const seen: string[] = []
  using other = await aServer((request, response) => {
    seen.push(`other ${request.headers.authorization ?? '-'}`)
    response.writeHead(404).end()
  })
  using server = await aTlsServer((request, response) => {
    seen.push(`own ${request.headers.authorization ?? '-'}`)
    response.writeHead(302, {location: `${other.url}/x.aci`}).end()
  })
  const configuration = mkdtempSync(join(tmpdir(), 'rkt-auth-'))
  const file = join(configuration, 'auth.d/a.json')
  mkdirSync(join(configuration, 'auth.d'))
  const domains = [`127.0.0.1:${server.port}`]
  writeFileSync(file, JSON.stringify({credentials: {token: 'T'}, domains, rktKind: 'auth', rktVersion: 'v1', type: 'oauth'}))
  const {auth} = loadConfig({local: configuration})
  rmSync(configuration, {recursive: true})
  using host = aHost({auth, ca: server.ca})

  await host.failure(`${server.url}/x.aci`, {insecure: {...SECURE, http: true, image: true}})
  await host.failure(`${other.url}/x.aci`, unverified)

  assert.deepEqual(seen, ['own Bearer T', 'other -', 'other -'])
  const said = host.lines.filter((line) => line.includes('credentials'))
  assert.deepEqual(said, [`image: credentials for 127.0.0.1:${server.port} come from ${file}`])
})

describe('what a server does wrong is named, leaves nothing, and the next fetch works', () => {
  const wrong: [string, RegExp][] = [
    ['/401', /^bad HTTP status code: 401$/],
    ['/403', /^bad HTTP status code: 403$/],
    ['/404', /^bad HTTP status code: 404$/],
    ['/416', /^bad HTTP status code: 416$/],
    ['/503', /^bad HTTP status code: 503$/],
    ['/202', /^HTTP 202$/],
    ['/304', /^asked to use cached image even if not asked for that$/],
    ['/short', /./],
    ['/page', /./],
    ['/file', /redirects to/],
    ['/circle', /circle/],
  ]
  for (const [path, reason] of wrong) {
    test(path, async () => {
      using host = aHost()
      const bytes = readFileSync(await host.archive('example.com/app'))
      let broken = true
      using server = await aServer((request, response) => {
        const status = Number(path.slice(1))
        if (!broken) response.writeHead(200).end(bytes)
        else if (status > 0) response.writeHead(status, {'retry-after': '9999'}).end()
        else if (path === '/short') {
          response.writeHead(200, {'content-length': bytes.length + 1}).write(bytes)
          setTimeout(() => response.destroy(), 20)
        } else if (path === '/page') response.writeHead(200).end('<html>')
        else response.writeHead(302, {location: path === '/file' ? 'file:///etc/passwd' : request.url}).end()
      })
      const url = `${server.url}${path}.aci`

      const chain = await host.failure(url, unverified)

      assert.match(chain.at(-1) ?? '', reason)
      assert.ok(
        chain.some((message) => message.includes(server.url) || /^error downloading|^asked/.test(message)),
        chain.join(' > '),
      )
      assert.deepEqual([host.tmp(), await host.images()], [[], []])
      broken = false
      await host.find(url, unverified)
      assert.deepEqual([host.tmp(), await host.images()], [[], ['example.com/app']])
    })
  }

  test('a password in a URL is not said', async () => {
    using host = aHost()
    assert.doesNotMatch((await host.failure('http://u:secret@127.0.0.1:1/x.aci', unverified)).join() + host.lines.join(), /secret/)
  })
})

test('a body without end does not take the last of the file system', {skip: process.geteuid?.() === 0 ? false : 'needs root'}, async () => {
  using host = aHost()
  const tmp = host.store.tmpDir()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', tmp])
  try {
    using server = await aServer((request, response) => {
      response.writeHead(200, request.url === '/announced.aci' ? {'content-length': 2 ** 40} : {})
      const more = () => {
        if (response.destroyed) return
        if (response.write(Buffer.alloc(1 << 16))) setImmediate(more)
        else response.once('drain', more)
      }
      more()
    })

    for (const name of ['endless', 'announced']) {
      const chain = await host.failure(`${server.url}/${name}.aci`, unverified)
      assert.equal(chain[0], `failed to download "${server.url}/${name}.aci"`)
      assert.equal(chain.at(-1), 'no space left on device')
    }
    assert.deepEqual(host.tmp(), [])
  } finally {
    execFileSync('umount', [tmp])
  }
  assert.deepEqual(await host.images(), [])
})

describe('a download that was killed', () => {
  /** What a process that was killed after `kept` bytes left. */
  function aPartial(host: ReturnType<typeof aHost>, url: string, kept: Buffer, validator: string) {
    const path = join(host.store.tmpDir(), `sha512-${createHash('sha512').update(url).digest('hex').slice(0, 64)}`)
    writeFileSync(path, kept, {mode: 0o640})
    writeFileSync(`${path}.etag`, `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}\n${validator}\n`, {mode: 0o640})
  }

  const servers: [string, Record<string, string>, string, boolean][] = [
    ['is continued where its ETag is the same', {etag: '"1"'}, '"1"', true],
    [
      'is continued where the file was not changed since',
      {'last-modified': 'Mon, 02 Jan 2006 15:04:05 GMT'},
      'Mon, 02 Jan 2006 15:04:05 GMT',
      true,
    ],
    ['begins anew where the file is another', {etag: '"2"'}, '"1"', false],
  ]
  for (const [claim, headers, validator, continued] of servers) {
    test(claim, async () => {
      using host = aHost()
      const bytes = readFileSync(await host.archive('example.com/app'))
      using server = await aServer((request, response) => {
        const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
        const same = [headers.etag, headers['last-modified']].includes(request.headers['if-range'] as string)
        if (start === 0 || !same) return void response.writeHead(200, headers).end(bytes)
        const range = {'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`}
        response.writeHead(206, {...headers, ...range}).end(bytes.subarray(start))
      })
      const url = `${server.url}/app.aci`
      aPartial(host, url, continued ? bytes.subarray(0, 100) : Buffer.alloc(100, 'x'), validator)
      const drawn: string[] = []

      await host.find(url, {...unverified, progress: {write: (text) => drawn.push(text)}})

      assert.deepEqual(server.asked, ['GET /app.aci - bytes=100-'])
      assert.deepEqual([host.tmp(), await host.images()], [[], ['example.com/app']])
      if (continued) assert.match(drawn.at(-1) ?? '', new RegExp(`^Downloading ACI:  ${bytes.length - 100} B/${bytes.length - 100} B`))
    })
  }

  test('begins anew where a server gives any range of another version', async () => {
    using host = aHost()
    const bytes = readFileSync(await host.archive('example.com/app'))
    using server = await aServer((request, response) => {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      if (start === 0) return void response.writeHead(200, {etag: '"2"'}).end(bytes)
      response
        .writeHead(206, {'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`, etag: '"2"'})
        .end(bytes.subarray(start))
    })
    aPartial(host, `${server.url}/app.aci`, Buffer.alloc(100, 'x'), '"1"')

    await host.find(`${server.url}/app.aci`, unverified)

    assert.deepEqual(server.asked, ['GET /app.aci - bytes=100-', 'GET /app.aci -'])
    assert.deepEqual(await host.images(), ['example.com/app'])
  })

  test('is taken away by the collection of garbage', async () => {
    using host = aHost()
    await host.find(await host.archive('example.com/app'), unverified)
    aPartial(host, 'https://example.com/x.aci', Buffer.alloc(100), '"1"')

    await host.store.sweep()

    assert.deepEqual(host.tmp(), [])
  })
})

describe('the signature beside an archive', () => {
  const setUp = async () => {
    const keyring = aKeyring()
    const host = aHost()
    await host.keystore.add(null, keyring.key('alice'))
    const path = await host.archive('example.com/app')
    const signature = readFileSync(keyring.sign(path, 'alice'))
    return {
      bytes: readFileSync(path),
      host,
      signature,
      [Symbol.dispose]() {
        host[Symbol.dispose]()
        keyring[Symbol.dispose]()
      },
    }
  }

  test('is fetched first, its query kept', async () => {
    using signed = await setUp()
    using server = await aServer(
      files(
        new Map([
          ['/a.aci?q=1', signed.bytes],
          ['/a.aci.asc?q=1', signed.signature],
        ]),
      ),
    )

    await signed.host.find(`${server.url}/a.aci?q=1`)

    assert.deepEqual(server.asked, ['GET /a.aci.asc?q=1 -', 'GET /a.aci?q=1 -'])
    assert.equal(signed.host.lines.at(-1), 'image: signature verified:\n  alice <alice@example.com>')
  })

  test('may be deferred once (202), and not twice', async () => {
    using signed = await setUp()
    let deferrals = 1
    using server = await aServer((request, response) => {
      if (request.url === '/a.aci') response.writeHead(200).end(signed.bytes)
      else if (deferrals-- > 0) response.writeHead(202).end()
      else response.writeHead(200).end(signed.signature)
    })

    await signed.host.find(`${server.url}/a.aci`, {pullPolicy: 'update'})
    assert.deepEqual(server.asked, ['GET /a.aci.asc -', 'GET /a.aci -', 'GET /a.aci.asc -'])
    assert.ok(signed.host.lines.includes('image: server requested deferring the signature download'))
    await signed.host.store.remove(signed.host.store.findByName('example.com/app', []))
    deferrals = 2
    assert.deepEqual(await signed.host.failure(`${server.url}/a.aci`), [
      'error downloading the signature file',
      'server asked to defer the download again',
    ])
    assert.deepEqual([signed.host.tmp(), await signed.host.images()], [[], []])
  })

  test('is missing: the archive is not fetched', async () => {
    using signed = await setUp()
    using server = await aServer(files(new Map([['/a.aci', signed.bytes]])))

    assert.deepEqual(await signed.host.failure(`${server.url}/a.aci`), [
      'error downloading the signature file',
      `cannot fetch ${server.url}/a.aci.asc`,
      'bad HTTP status code: 404',
    ])
    assert.deepEqual(server.asked, ['GET /a.aci.asc -'])
  })

  test('is of another archive, or endless: the image is refused', async () => {
    using signed = await setUp()
    const other = readFileSync(await signed.host.archive('example.com/app', {file: 'other', version: '2'}))
    using server = await aServer((request, response) => {
      if (request.url === '/a.aci') response.writeHead(200).end(other)
      else if (request.url === '/a.aci.asc') response.writeHead(200).end(signed.signature)
      else {
        response.writeHead(200)
        const more = () => {
          response.write(Buffer.alloc(1 << 16))
          if (!response.destroyed) setImmediate(more)
        }
        more()
      }
    })

    assert.match((await signed.host.failure(`${server.url}/a.aci`))[1] ?? '', /^openpgp: invalid signature/)
    assert.equal((await signed.host.failure(`${server.url}/endless.aci`))[0], 'error downloading the signature file')
    assert.deepEqual([signed.host.tmp(), await signed.host.images()], [[], []])
  })

  test('a file of the user’s is read instead', async () => {
    using signed = await setUp()
    using server = await aServer(files(new Map([['/a.aci', signed.bytes]])))
    const signature = write(join(signed.host.dir, 'sig'), signed.signature)

    await signed.host.find(`${server.url}/a.aci`, {signature})

    assert.deepEqual(server.asked, ['GET /a.aci -'])
  })

  test('certificates that are not checked are worth a warning', async () => {
    using signed = await setUp()
    using server = await aTlsServer(
      files(
        new Map([
          ['/a.aci', signed.bytes],
          ['/a.aci.asc', signed.signature],
        ]),
      ),
    )

    assert.match((await signed.host.failure(`${server.url}/a.aci`))[1] ?? '', /^the certificate of 127\.0\.0\.1:\d+ is not trusted$/)
    await signed.host.find(`${server.url}/a.aci`, {insecure: {...SECURE, tls: true}})

    assert.ok(signed.host.lines.includes('image: warning: TLS verification has been disabled'))
  })
})

import assert from 'node:assert/strict'
import {randomBytes} from 'node:crypto'
import type {ServerResponse} from 'node:http'
import {describe, mock, test} from 'node:test'
import {gzipSync} from 'node:zlib'
import {cutAfter, type Script, type Seen, scriptedServer} from '../../test/registry/scripted-server.ts'
import {causeChain} from '../errors.ts'
import {openHttp} from '../http/index.ts'
import {type Descriptor, type Digest, digestOf} from '../oci/index.ts'
import {openRegistry} from './registry.ts'
import {type Credential, Secret} from './secret.ts'
import type {BlobStream, Repository} from './types.ts'

const retry = {attempts: 3, baseMs: 1, capMs: 1500}
const amd64 = {architecture: 'amd64', os: 'linux'}
const type = (kind: string) => `application/vnd.oci.image.${kind}.v1+json`
const latest = {digest: null, tag: 'latest'}
const me: Credential = {kind: 'basic', origin: '/root/.docker/config.json', password: new Secret('w0rd'), user: 'me'}

interface Held {
  readonly bytes: Buffer
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}

function hold(value: unknown, mediaType: string): Held {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))
  return {bytes, digest: digestOf(bytes), mediaType, size: bytes.length}
}

const describes = ({digest, mediaType, size}: Held) => ({digest, mediaType, size})
const descriptor = (held: Held): Descriptor => ({annotations: {}, ...describes(held), urls: []})

/** An image in an index, and what a registry that works answers. */
function anImage() {
  const layer = hold(gzipSync(randomBytes(200_000)), `${type('layer').replace('+json', '.tar+gzip').replace('.v1.tar', '.v1.tar')}`)
  const config = hold(
    {architecture: 'amd64', os: 'linux', rootfs: {diff_ids: [digestOf(Buffer.from('x'))], type: 'layers'}},
    type('config'),
  )
  const manifest = hold(
    {config: describes(config), layers: [describes(layer)], mediaType: type('manifest'), schemaVersion: 2},
    type('manifest'),
  )
  const index = hold({manifests: [{...describes(manifest), platform: amd64}], mediaType: type('index'), schemaVersion: 2}, type('index'))
  const held = [layer, config, manifest, index]
  const answer = ({path}: Pick<Seen, 'path'>, response: ServerResponse) => {
    const name = path.split('/').at(-1)
    const found = name === 'latest' ? index : held.find(({digest}) => digest === name)
    if (found === undefined) {
      const errors = [{code: 'MANIFEST_UNKNOWN', message: 'manifest unknown\u001b[2J'}]
      return response.writeHead(404, {'Content-Type': 'application/json'}).end(JSON.stringify({errors}))
    }
    const headers = {'Content-Length': found.size, 'Content-Type': found.mediaType, 'Docker-Content-Digest': found.digest}
    return response.writeHead(200, headers).end(found.bytes)
  }
  return {answer, config, index, layer, manifest}
}

interface Opened extends AsyncDisposable {
  readonly lines: string[]
  readonly repository: Repository
  readonly seen: readonly Seen[]
  readonly host: string
}

async function opened(script: Script, {credential = null}: {credential?: Credential | null} = {}): Promise<Opened> {
  const server = await scriptedServer((seen, response, count) => {
    if (seen.path === '/v2/') response.end('{}')
    else script(seen, response, count)
  })
  const lines: string[] = []
  const http = openHttp({debug: (line) => lines.push(line), environment: {}, idleTimeoutMs: 300, retry})
  const diagnostics = {debug: (_: string, line: string) => void lines.push(line), note: (_: string, line: string) => void lines.push(line)}
  const credentials = {find: async () => credential}
  const repository = openRegistry({credentials, diagnostics, host: server.host, http, insecure: {http: false}}).repository('ns/app')
  return {
    async [Symbol.asyncDispose]() {
      http.close()
      await server[Symbol.asyncDispose]()
    },
    host: server.host,
    lines,
    repository,
    get seen() {
      return server.seen.filter(({path}) => path !== '/v2/')
    },
  }
}

async function failure(promise: Promise<unknown>): Promise<{code: string; text: string; hint: string}> {
  try {
    await promise
  } catch (error) {
    const {code, hint = ''} = error as {code: string; hint?: string}
    return {code, hint, text: causeChain(error).join(': ')}
  }
  throw new assert.AssertionError({message: 'it did not fail'})
}

async function all({body}: BlobStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe('an image', () => {
  test('is found through its index, by digest from the first answer on', async () => {
    const {answer, config, index, layer, manifest} = anImage()
    await using registry = await opened(answer)

    const image = await registry.repository.image(latest, amd64)

    assert.deepEqual(
      image.indexes.map(({digest}) => digest),
      [index.digest],
    )
    assert.deepEqual(image.manifest.bytes, manifest.bytes)
    assert.deepEqual([image.config.digest, image.config.image.os], [config.digest, 'linux'])
    assert.deepEqual(
      image.layers.map(({digest}) => digest),
      [layer.digest],
    )
    assert.deepEqual(
      registry.seen.map(({method, path}) => `${method} ${path.split('/').slice(-2).join('/')}`),
      ['HEAD manifests/latest', `GET manifests/${index.digest}`, `GET manifests/${manifest.digest}`, `GET blobs/${config.digest}`],
    )
  })

  test('is found where HEAD is not answered', async () => {
    const {answer, index} = anImage()
    await using registry = await opened((seen, response) =>
      seen.method === 'HEAD' ? response.writeHead(405).end() : answer(seen, response),
    )
    assert.equal((await registry.repository.resolve(latest)).digest, index.digest)
    assert.equal(await registry.repository.digest(latest), index.digest)
  })

  test('that is not there is refused with the registry’s words, made harmless', async () => {
    const {answer} = anImage()
    await using registry = await opened(answer)
    const {code, text} = await failure(registry.repository.resolve({digest: null, tag: 'none'}))
    assert.equal(code, 'RKT_IMAGE_NOT_FOUND')
    assert.equal(
      text,
      `${registry.host} has not the manifest of ${registry.host}/ns/app:none: Unexpected HTTP code: 404, URL: http://${registry.host}/v2/ns/app/manifests/none (MANIFEST_UNKNOWN: manifest unknown [2J)`,
    )
  })

  test('under another digest than asked for is refused', async () => {
    const {answer, index} = anImage()
    await using registry = await opened((seen, response) => answer({path: seen.path.replace(/[^/]+$/, index.digest)}, response))
    const asked = `sha256:${'0'.repeat(64)}` as const
    const {code, text} = await failure(registry.repository.resolve({digest: asked, tag: null}))
    assert.equal(code, 'RKT_REGISTRY_CONTENT')
    assert.match(text, new RegExp(`its digest is ${index.digest} where ${asked} was announced$`))
  })

  test('whose manifest has another size than its index says is refused', async () => {
    const {answer, manifest} = anImage()
    const index = hold({manifests: [{...describes(manifest), size: 1}], schemaVersion: 2}, type('index'))
    await using registry = await opened((seen, response) =>
      seen.path.endsWith('latest') ? response.writeHead(200, {'Content-Type': index.mediaType}).end(index.bytes) : answer(seen, response),
    )
    assert.equal((await failure(registry.repository.image(latest, amd64))).code, 'RKT_REGISTRY_CONTENT')
  })

  const documents: readonly (readonly [string, string, unknown, string])[] = [
    ['of schema 1', 'application/vnd.docker.distribution.manifest.v1+prettyjws', {fsLayers: [], schemaVersion: 1}, 'RKT_OCI_SCHEMA1'],
    [
      'of another type than announced',
      type('index'),
      {...anImage().manifest, mediaType: type('manifest'), schemaVersion: 2},
      'RKT_OCI_DOCUMENT_INVALID',
    ],
    ['that is a page for people', 'text/html', Buffer.from('<html>'), 'RKT_OCI_DOCUMENT_INVALID'],
    [
      'without this platform',
      type('index'),
      {manifests: [{...describes(anImage().manifest), platform: {architecture: 'mips', os: 'linux'}}], schemaVersion: 2},
      'RKT_NO_PLATFORM',
    ],
    [
      'that is an artifact',
      type('manifest'),
      {
        artifactType: 'application/x-chart',
        config: {digest: digestOf(Buffer.from('{}')), mediaType: 'application/vnd.oci.empty.v1+json', size: 2},
        layers: [],
        schemaVersion: 2,
      },
      'RKT_OCI_NO_IMAGE',
    ],
    ['of an image that is served as another kind of document', 'application/json', anImage().manifest.bytes, 'RKT_OCI_DOCUMENT_INVALID'],
    ['that is too large', type('manifest'), Buffer.alloc(9 << 20, ' '), 'RKT_HTTP_TOO_LARGE'],
  ]
  for (const [title, contentType, value, code] of documents) {
    test(`${title} is refused`, async () => {
      const {bytes} = hold(value, contentType)
      await using registry = await opened((_, response) => response.writeHead(200, {'Content-Type': contentType}).end(bytes))
      assert.equal((await failure(registry.repository.image(latest, amd64))).code, code)
    })
  }

  test('behind indexes without end is refused', async () => {
    const indexes = [hold({manifests: [], mediaType: type('index'), schemaVersion: 2}, type('index'))]
    for (let depth = 0; depth < 5; depth++) {
      indexes.unshift(hold({manifests: [describes(indexes[0] as Held)], mediaType: type('index'), schemaVersion: 2}, type('index')))
    }
    await using registry = await opened(({path}, response) => {
      const found = indexes.find(({digest}) => path.endsWith(digest)) ?? (indexes[0] as Held)
      response.writeHead(200, {'Content-Type': found.mediaType}).end(found.bytes)
    })
    assert.match((await failure(registry.repository.image(latest, amd64))).text, /is an index of indexes, more than 3 deep$/)
  })
})

describe('a blob', () => {
  const {answer, layer} = anImage()

  test('streams, several at a time', async () => {
    await using registry = await opened(answer)
    const blobs = await Promise.all([1, 2, 3].map(() => registry.repository.blob(descriptor(layer))))
    for (const bytes of await Promise.all(blobs.map(all))) assert.deepEqual(bytes, layer.bytes)
  })

  test('continues after a cut', async () => {
    await using registry = await opened((seen, response, count) => {
      const start = Number(/^bytes=(\d+)-$/.exec(seen.headers.range ?? '')?.[1] ?? 0)
      if (count === 1) return cutAfter(response, layer.bytes, 100_000)
      response.writeHead(206, {'Content-Range': `bytes ${start}-${layer.size - 1}/${layer.size}`}).end(layer.bytes.subarray(start))
    })
    assert.deepEqual(await all(await registry.repository.blob(descriptor(layer))), layer.bytes)
    assert.equal(registry.seen.length, 2)
  })

  test('of other bytes ends with an error, unless the reader verifies', async () => {
    const other = randomBytes(layer.size)
    await using registry = await opened((_, response) => response.end(other))
    const {code, text} = await failure(registry.repository.blob(descriptor(layer)).then(all))
    assert.deepEqual([code, text.includes(layer.digest), text.includes(digestOf(other))], ['RKT_REGISTRY_CONTENT', true, true])
    assert.deepEqual(await all(await registry.repository.blob(descriptor(layer), {verify: false})), other)
  })

  test('of another length is refused', async () => {
    await using registry = await opened((_, response) => response.end(layer.bytes.subarray(1)))
    assert.equal((await failure(registry.repository.blob(descriptor(layer)))).code, 'RKT_HTTP_SIZE')
  })

  test('without end is cut off', async () => {
    await using registry = await opened((_, response) => {
      const more = () => response.destroyed || response.write(Buffer.alloc(10_000), () => setImmediate(more))
      more()
    })
    assert.equal((await failure(registry.repository.blob(descriptor(layer)).then(all))).code, 'RKT_HTTP_SIZE')
  })

  test('too large for a document is not asked for', async () => {
    await using registry = await opened(answer)
    assert.equal((await failure(registry.repository.smallBlob(descriptor(layer), 1000))).code, 'RKT_HTTP_TOO_LARGE')
    assert.equal(registry.seen.length, 0)
  })

  test('behind a redirect is fetched without the registry’s credentials', async () => {
    await using storage = await scriptedServer((_, response) => response.end(layer.bytes))
    await using registry = await opened(
      ({headers}, response) =>
        headers.authorization === undefined
          ? response.writeHead(401, {'WWW-Authenticate': 'Basic realm="x"'}).end()
          : response.writeHead(307, {Location: storage.url('/signed?sig=abc').href}).end(),
      {credential: me},
    )
    assert.deepEqual(await all(await registry.repository.blob(descriptor(layer))), layer.bytes)
    assert.equal(storage.seen[0]?.headers.authorization, undefined)
  })

  test('is not shown our credentials to by a storage that asks for them', async () => {
    await using storage = await scriptedServer((_, response) => response.writeHead(401, {'WWW-Authenticate': 'Basic realm="x"'}).end())
    await using registry = await opened((_, response) => response.writeHead(307, {Location: storage.origin}).end(), {credential: me})
    assert.equal((await failure(registry.repository.blob(descriptor(layer)))).code, 'RKT_REGISTRY_DENIED')
    assert.deepEqual(
      storage.seen.map(({headers}) => headers.authorization),
      [undefined],
    )
  })
})

describe('a refusal', () => {
  test('for want of credentials says where they can be put', async () => {
    await using registry = await opened((_, response) => response.writeHead(401, {'WWW-Authenticate': 'Basic realm="x"'}).end())
    const {code, hint} = await failure(registry.repository.resolve(latest))
    assert.equal(code, 'RKT_REGISTRY_DENIED')
    assert.match(hint, /docker login 127/)
  })

  test('of credentials says where they came from, never what they are, and is not repeated', async () => {
    await using registry = await opened((_, response) => response.writeHead(401, {'WWW-Authenticate': 'Basic realm="x"'}).end(), {
      credential: me,
    })
    const {hint, text} = await failure(registry.repository.resolve(latest))
    assert.match(hint, /credentials of \/root\/\.docker\/config\.json/)
    for (const line of [hint, text, ...registry.lines]) assert.doesNotMatch(line, /w0rd|bWU6/)
    assert.equal(registry.seen.length, 3)
    assert.ok(registry.lines.includes(`credentials for ${registry.host}/ns/app come from /root/.docker/config.json`))
  })

  for (const [status, code] of [
    [403, 'RKT_REGISTRY_DENIED'],
    [429, 'RKT_REGISTRY_LIMIT'],
    [500, 'RKT_HTTP_STATUS'],
    [418, 'RKT_HTTP_STATUS'],
  ] as const) {
    test(`by ${status} is ${code}`, async () => {
      await using registry = await opened((_, response) => response.writeHead(status, {'Retry-After': '9999'}).end('gone'))
      assert.equal((await failure(registry.repository.resolve(latest))).code, code)
    })
  }
})

describe('a token', () => {
  interface Service {
    readonly token?: Script
    /** Of the challenge. */
    readonly parameters?: string
    readonly credential?: Credential | null
    readonly wants?: string
  }

  /** A registry that wants a token, with its token server. */
  async function guarded({credential = null, parameters, token, wants = 'Bearer T'}: Service) {
    const {answer, index} = anImage()
    const tokens = await scriptedServer(token ?? ((_, response) => response.end('{"token":"T","expires_in":300}')))
    const registry = await opened(
      (seen, response) => {
        if (seen.headers.authorization === wants) return answer(seen, response)
        const challenge = parameters ?? 'service="s,1",scope="repository:ns/app:pull"'
        response.writeHead(401, {'WWW-Authenticate': `Bearer realm="${tokens.origin}/token",${challenge}`}).end()
      },
      {credential},
    )
    return {
      async [Symbol.asyncDispose]() {
        await registry[Symbol.asyncDispose]()
        await tokens[Symbol.asyncDispose]()
      },
      asked: tokens.seen,
      index,
      registry,
      repository: registry.repository,
    }
  }

  test('is asked for once, without credentials where there are none', async () => {
    await using service = await guarded({})
    await Promise.all([1, 2, 3].map(() => service.repository.resolve(latest)))
    assert.deepEqual(
      service.asked.map(({path}) => path),
      ['/token?service=s%2C1&scope=repository%3Ans%2Fapp%3Apull&client_id=rkt'],
    )
    assert.equal(service.asked[0]?.headers.authorization, undefined)
  })

  test('is asked for with user and password, and may be called access_token', async () => {
    await using service = await guarded({credential: me, token: (_, response) => response.end('{"access_token":"T"}')})
    await service.repository.resolve(latest)
    assert.equal(service.asked[0]?.headers.authorization, `Basic ${Buffer.from('me:w0rd').toString('base64')}`)
    assert.match(service.asked[0]?.path ?? '', /account=me/)
  })

  test('is for pulling the repository where the challenge names no scope', async () => {
    await using service = await guarded({parameters: 'service=s'})
    await service.repository.resolve(latest)
    assert.match(service.asked[0]?.path ?? '', /scope=repository%3Ans%2Fapp%3Apull/)
  })

  test('of an identity is posted for, and by GET where the server knows no POST', async () => {
    const identity: Credential = {kind: 'identity', origin: 'x', token: new Secret('I d'), user: 'me'}
    await using service = await guarded({credential: identity})
    await service.repository.resolve(latest)
    assert.deepEqual(
      [service.asked[0]?.method, new URLSearchParams(service.asked[0]?.body).get('refresh_token'), service.asked[0]?.headers.authorization],
      ['POST', 'I d', undefined],
    )
    await using old = await guarded({
      credential: identity,
      token: ({method}, response) => response.writeHead(method === 'POST' ? 405 : 200).end('{"token":"T"}'),
    })
    await old.repository.resolve(latest)
    assert.deepEqual(
      old.asked.map(({method}) => method),
      ['POST', 'GET'],
    )
  })

  test('is posted for with a password where the server knows no GET', async () => {
    await using service = await guarded({
      credential: me,
      token: ({method}, response) => response.writeHead(method === 'GET' ? 404 : 200).end('{"access_token":"T"}'),
    })
    await service.repository.resolve(latest)
    assert.match(service.asked[1]?.body ?? '', /grant_type=password&username=me&password=w0rd$/)
  })

  test('is renewed when its time is over', async () => {
    await using service = await guarded({})
    mock.timers.enable({apis: ['Date'], now: Date.now()})
    try {
      await service.repository.resolve(latest)
      mock.timers.tick(200_000)
      await service.repository.resolve(latest)
      assert.equal(service.asked.length, 1)
      mock.timers.tick(80_000)
      await service.repository.resolve(latest)
      assert.equal(service.asked.length, 2)
    } finally {
      mock.timers.reset()
    }
  })

  test('is asked for with more scopes when the registry says that they are too few', async () => {
    const {answer} = anImage()
    await using tokens = await scriptedServer(({path}, response) =>
      response.end(JSON.stringify({token: path.includes('other') ? 'wide' : 'narrow'})),
    )
    await using registry = await opened((seen, response) => {
      if (seen.headers.authorization === 'Bearer wide') return answer(seen, response)
      const scope = seen.headers.authorization === undefined ? 'repository:ns/app:pull' : 'repository:ns/other:pull'
      response.writeHead(401, {'WWW-Authenticate': `Bearer realm="${tokens.origin}",scope="${scope}",error="insufficient_scope"`}).end()
    })
    await registry.repository.resolve(latest)
    assert.equal(tokens.seen.length, 2)
    assert.match(tokens.seen[1]?.path ?? '', /scope=repository%3Ans%2Fapp%3Apull&scope=repository%3Ans%2Fother%3Apull/)
  })

  test('that does not help is not asked for again and again', async () => {
    await using service = await guarded({wants: 'Bearer other'})
    assert.equal((await failure(service.repository.resolve(latest))).code, 'RKT_REGISTRY_DENIED')
    assert.ok(service.asked.length <= 2)
  })

  test('of a user who is not known is refused, telling which file it was', async () => {
    const token: Script = (_, response) => response.writeHead(401).end('{"details":"incorrect username or password"}')
    await using service = await guarded({credential: me, token})
    const {code, text} = await failure(service.repository.resolve(latest))
    assert.equal(code, 'RKT_REGISTRY_AUTH')
    assert.match(text, /unable to retrieve auth token: 401 unauthorized \(incorrect username or password\)$/)
    assert.doesNotMatch(text, /w0rd/)
  })

  for (const [title, answer, why] of [
    ['that is no JSON', 'T0ken', 'the answer is no JSON'],
    ['that is not there', '{}', 'the answer holds no token'],
    ['that would be two headers', '{"token":"T\\r\\nX: y"}', 'the token holds characters that no token has'],
    ['of null', 'null', 'the answer holds no token'],
  ] as const) {
    test(`${title} is refused without showing the answer`, async () => {
      await using service = await guarded({token: (_, response) => response.end(answer)})
      const {code, text} = await failure(service.repository.resolve(latest))
      assert.deepEqual([code, text.endsWith(`: ${why}`), text.includes('T0ken')], ['RKT_REGISTRY_AUTH', true, false])
    })
  }

  for (const [title, header, why] of [
    ['without a realm', 'Bearer service="s"', /missing realm in bearer auth challenge$/],
    ['of another scheme', 'Bearer realm="file:///etc/shadow"', /is no http URL$/],
  ] as const) {
    test(`cannot be had by a challenge ${title}`, async () => {
      await using registry = await opened((_, response) => response.writeHead(401, {'WWW-Authenticate': header}).end())
      assert.match((await failure(registry.repository.resolve(latest))).text, why)
    })
  }
})

describe('what refers to an image', () => {
  const subject = digestOf(Buffer.from('image'))
  const signature = hold(
    {config: describes(hold({}, type('config'))), layers: [], mediaType: type('manifest'), schemaVersion: 2},
    type('manifest'),
  )
  const list = hold(
    {
      manifests: [
        {...describes(signature), artifactType: 'a/sig'},
        {...describes(signature), artifactType: 'a/sbom'},
      ],
      mediaType: type('index'),
      schemaVersion: 2,
    },
    type('index'),
  )
  const give = (response: ServerResponse, {bytes, mediaType}: Held) => response.writeHead(200, {'Content-Type': mediaType}).end(bytes)

  test('comes from the referrers API', async () => {
    await using registry = await opened((_, response) => give(response, list))
    const found = await registry.repository.referrers(subject, 'a/sig')
    assert.deepEqual(
      found.map(({artifactType}) => artifactType),
      ['a/sig'],
    )
    assert.match(registry.seen[0]?.path ?? '', new RegExp(`/referrers/${subject}\\?artifactType=a%2Fsig$`))
  })

  test('comes from the tag of the digest where there is no such API, and may be nothing', async () => {
    const tag = subject.replace(':', '-')
    await using registry = await opened(({path}, response) =>
      path.endsWith(`/manifests/${tag}`) ? give(response, list) : response.writeHead(404).end(),
    )
    assert.equal((await registry.repository.referrers(subject)).length, 2)
    assert.deepEqual(await registry.repository.referrers(digestOf(Buffer.from('other'))), [])
  })

  test('of cosign is the tag of the digest with .sig', async () => {
    const tag = `${subject.replace(':', '-')}.sig`
    await using registry = await opened(({path}, response) =>
      path.endsWith(tag) ? give(response, signature) : response.writeHead(404).end(),
    )
    assert.deepEqual((await registry.repository.signatures(subject))?.bytes, signature.bytes)
    assert.equal(await registry.repository.signatures(digestOf(Buffer.from('other'))), null)
  })
})

test('a warning of the registry is shown once, made harmless', async () => {
  const {answer} = anImage()
  await using registry = await opened((seen, response) => {
    response.setHeader('Warning', '299 - "we move\\" \u0085away"')
    answer(seen, response)
  })
  await registry.repository.image(latest, amd64)
  assert.deepEqual(
    registry.lines.filter((line) => line.includes('warns')),
    [`${registry.host} warns: we move" away`],
  )
})

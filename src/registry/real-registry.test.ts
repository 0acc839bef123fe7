import assert from 'node:assert/strict'
import {createHash, randomBytes} from 'node:crypto'
import {mkdtempSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {gunzipSync} from 'node:zlib'
import {type Layout, makeCertificates, registryMissing, startRegistry, writeLayout} from '../../test/registry/harness.ts'
import {silent} from '../diagnostics.ts'
import {type HttpOptions, openHttp} from '../http/index.ts'
import {openCredentials} from './credentials.ts'
import {openRegistry} from './registry.ts'

const skip = registryMissing()
const latest = {digest: null, tag: 'latest'}
const amd64 = {architecture: 'amd64', os: 'linux'}
let directory: string
let layout: Layout

describe('a real registry', {skip}, () => {
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'rkt-registry-'))
    const layers = [{big: randomBytes(3_000_000), hello: 'world'}, {'etc/passwd': 'root:x:0:0::/:/bin/sh\n'}]
    layout = await writeLayout(join(directory, 'layout'), [
      {architecture: 'amd64', layers},
      {architecture: 'arm64', layers: layers.slice(0, 1)},
    ])
  })
  after(() => rmSync(directory, {recursive: true}))

  interface Way {
    readonly environment?: Record<string, string>
    readonly http?: boolean
    readonly httpOptions?: Partial<HttpOptions>
  }

  function repositoryOf(host: string, {environment = {}, http = false, httpOptions = {}}: Way = {}) {
    const client = openHttp({environment, ...httpOptions})
    const credentials = openCredentials({diagnostics: silent, dockerAuth: new Map(), environment})
    const repository = openRegistry({credentials, diagnostics: silent, host, http: client, insecure: {http}}).repository('ns/app')
    return {[Symbol.dispose]: () => client.close(), repository}
  }

  async function hashOf(body: AsyncIterable<Buffer>): Promise<string> {
    const chunks: Buffer[] = []
    for await (const chunk of body) chunks.push(chunk)
    return `sha256:${createHash('sha256')
      .update(gunzipSync(Buffer.concat(chunks)))
      .digest('hex')}`
  }

  test('on this machine gives an image over plain http, for each platform', async () => {
    await using server = await startRegistry({directory: join(directory, 'plain')})
    server.push(layout.directory, 'ns/app:latest')
    using opened = repositoryOf(server.host)

    const image = await opened.repository.image(latest, amd64)
    const other = await opened.repository.image(
      {digest: layout.digest as `sha256:${string}`, tag: null},
      {architecture: 'arm64', os: 'linux'},
    )

    assert.equal(image.indexes[0]?.digest, layout.digest)
    assert.equal(image.layers.length, 2)
    assert.equal(other.layers.length, 1)
    const blobs = await Promise.all(image.layers.map((layer) => opened.repository.blob(layer)))
    assert.deepEqual(await Promise.all(blobs.map(({body}) => hashOf(body))), image.config.image.diffIds)
    assert.equal(await opened.repository.digest(latest), layout.digest)
    assert.deepEqual(await opened.repository.referrers(layout.digest as `sha256:${string}`), [])
    assert.equal(await opened.repository.signatures(layout.digest as `sha256:${string}`), null)
    await assert.rejects(opened.repository.resolve({digest: null, tag: 'none'}), {code: 'RKT_IMAGE_NOT_FOUND'})
  })

  test('whose stored layer was changed is found out', async () => {
    await using server = await startRegistry({directory: join(directory, 'changed')})
    server.push(layout.directory, 'ns/app:latest')
    using opened = repositoryOf(server.host)
    const {layers} = await opened.repository.image(latest, amd64)
    const [layer] = layers
    assert.ok(layer !== undefined)
    const blobs = join(server.storage, 'docker/registry/v2/blobs')
    const path = readdirSync(blobs, {recursive: true, withFileTypes: true})
      .filter(({name, parentPath}) => name === 'data' && parentPath.endsWith(layer.digest.slice('sha256:'.length)))
      .map(({name, parentPath}) => join(parentPath, name))
    assert.equal(path.length, 1)
    writeFileSync(path[0] ?? '', randomBytes(layer.size))

    await assert.rejects(
      async () => {
        for await (const _ of (await opened.repository.blob(layer)).body);
      },
      {code: 'RKT_REGISTRY_CONTENT'},
    )
  })

  test('with TLS and users wants a certificate that is trusted, and the right password', async () => {
    const tls = makeCertificates(join(directory, 'ca'))
    await using server = await startRegistry({directory: join(directory, 'secure'), tls, users: {me: 'w0rd'}})
    server.push(layout.directory, 'ns/app:latest')
    const login = (password: string) => {
      const auth = Buffer.from(`me:${password}`).toString('base64')
      writeFileSync(join(directory, 'config.json'), JSON.stringify({auths: {[server.host]: {auth}}}), {mode: 0o600})
      return {DOCKER_CONFIG: directory, SSL_CERT_FILE: tls.caFile}
    }
    const resolve = async (way: Way) => {
      using opened = repositoryOf(server.host, way)
      return (await opened.repository.resolve(latest)).digest
    }

    await assert.rejects(resolve({}), {code: 'RKT_HTTP_CERTIFICATE'})
    await assert.rejects(resolve({environment: {SSL_CERT_FILE: tls.caFile}}), {code: 'RKT_REGISTRY_DENIED'})
    await assert.rejects(resolve({environment: login('wrong')}), {code: 'RKT_REGISTRY_DENIED'})
    assert.equal(await resolve({environment: login('w0rd')}), layout.digest)
    assert.equal(await resolve({environment: {DOCKER_CONFIG: directory}, httpOptions: {insecureTls: true}}), layout.digest)
  })
})

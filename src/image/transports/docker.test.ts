import assert from 'node:assert/strict'
import {createHash, generateKeyPairSync, randomBytes, sign} from 'node:crypto'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {type RegistryServer, registryMissing, startRegistry, writeLayout} from '../../../test/registry/harness.ts'
import {openSigstoreKeystore} from '../../trust/index.ts'
import {aHost, unverified} from '../fixture.ts'

const skip = registryMissing()
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
const shared = {'usr/lib/big': randomBytes(1_000_000)}

describe('an image of a real registry', {skip}, () => {
  let dir: string
  let registry: RegistryServer
  let digest: string
  let layout: string

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'rkt-docker-'))
    layout = join(dir, 'layout')
    const config = {Cmd: ['-v'], Entrypoint: ['/bin/hello'], Env: ['A=1'], ExposedPorts: {'80/tcp': {}}, Volumes: {'/data': {}}}
    const layers = [shared, {'bin/hello': 'hello'}, shared]
    ;({digest} = await writeLayout(layout, [
      {architecture, config, layers},
      {architecture: 's390x', layers: [{other: 'machine'}]},
    ]))
    registry = await startRegistry({directory: join(dir, 'registry')})
    registry.push(layout, 'ns/app:1.0')
    registry.push(layout, 'ns/app:latest')
  })
  after(async () => {
    await registry[Symbol.asyncDispose]()
    rmSync(dir, {force: true, recursive: true})
  })

  test('is fetched with its layers, each once, and known by its name, key and digest', async () => {
    using host = aHost()
    const reference = `docker://${registry.host}/ns/app:1.0`

    const key = await host.find(reference, unverified)

    const info = host.store.info(key)
    assert.equal(info.name, `${registry.host.replace(':', '_')}/ns/app`)
    assert.deepEqual(
      info.labels.map(({name, value}) => `${name}=${value}`),
      [`arch=${architecture === 'arm64' ? 'aarch64' : 'amd64'}`, 'os=linux', 'version=1.0'],
    )
    assert.equal(info.source, `cimd:docker:v=0:${registry.host}/ns/app:1.0`)
    assert.equal(info.latest, false)
    assert.equal(info.oci?.index, digest)
    const {app} = host.store.manifest(key)
    assert.deepEqual(app?.exec, ['/bin/hello', '-v'])
    assert.deepEqual(app?.ports, [{count: 1, name: '80-tcp', port: 80, protocol: 'tcp', socketActivated: false}])
    assert.deepEqual(app?.mountPoints, [{name: 'volume-data', path: '/data'}])
    assert.equal(host.store.resolveKey(info.oci?.manifest.slice(0, 20) ?? ''), key)
    assert.deepEqual(host.tmp(), [])
  })

  test('is looked for as the pull policy says, under every way to write it', async () => {
    using host = aHost()
    const short = `docker:${registry.host}/ns/app`
    await assert.rejects(host.find(short, {...unverified, pullPolicy: 'never'}), {code: 'RKT_IMAGE_NOT_FOUND'})

    const key = await host.find(short, unverified)

    assert.equal(host.store.info(key).latest, true)
    host.lines.length = 0
    for (const pullPolicy of ['new', 'never'] as const) {
      assert.equal(await host.find(`docker://${registry.host}/ns/app:latest`, {...unverified, pullPolicy}), key)
    }
    assert.deepEqual(new Set(host.lines), new Set([`image: using image from local store for url docker://${registry.host}/ns/app:latest`]))
    host.lines.length = 0
    assert.equal(await host.find(short, {...unverified, pullPolicy: 'update'}), key)
    assert.deepEqual(
      host.lines.filter((line) => line.startsWith('image: ')),
      [
        `image: remote fetching from URL "docker://${registry.host}/ns/app"`,
        `image: fetching image from docker://${registry.host}/ns/app`,
        `image: image for docker://${registry.host}/ns/app:latest has not changed, not fetching.`,
      ],
    )

    const changed = join(dir, 'changed')
    await writeLayout(changed, [{architecture, layers: [shared, {'bin/hello': 'hello again'}]}])
    registry.push(changed, 'ns/app:latest')
    assert.equal(await host.find(short, unverified), key)
    const newer = await host.find(short, {...unverified, pullPolicy: 'update'})
    assert.notEqual(newer, key)
    assert.equal(host.lines.filter((line) => /layer sha256:.* is in the store/.test(line)).length, 1)
    assert.equal(await host.find(short, unverified), newer)
    registry.push(layout, 'ns/app:latest')
  })

  test('that was damaged in the store is fetched again, the damaged layer alone', async () => {
    using host = aHost()
    const reference = `docker://${registry.host}/ns/app:1.0`
    const key = await host.find(reference, unverified)
    const blob = host.store.contentPath(host.store.oci(key)?.layers[1]?.digest as never)
    const sound = readFileSync(blob)
    writeFileSync(blob, Buffer.from(sound).fill('x', 20, 21))
    host.lines.length = 0

    assert.equal(await host.find(reference, {...unverified, pullPolicy: 'update'}), key)

    assert.deepEqual(readFileSync(blob), sound)
    assert.ok(host.lines.some((line) => line.endsWith('is damaged in the store, fetching it again')))
    assert.equal(host.lines.filter((line) => /layer sha256:.* is in the store/.test(line)).length, 1)
  })

  test('by its digest has no version', async () => {
    using host = aHost()
    const key = await host.find(`docker://${registry.host}/ns/app@${digest}`, unverified)
    assert.deepEqual(
      host.store.info(key).labels.map(({name}) => String(name)),
      ['arch', 'os'],
    )
    assert.equal(host.store.info(key).latest, false)
  })

  test('that no trusted key signed is refused before anybody is asked, and the refusal says both ways', async () => {
    using host = aHost()
    const name = `${registry.host.replace(':', '_')}/ns/app`
    await assert.rejects(host.find('docker://localhost:1/ns/app'), {
      code: 'RKT_SIGSTORE_NO_KEY',
      hint: 'Trust the key that signs it (rkt trust --sigstore-key --prefix localhost_1/ns/app KEYFILE), or use --insecure-options=image.',
      message: 'no key is trusted for image "localhost_1/ns/app"',
    })
    const {publicKey} = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: {format: 'pem', type: 'spki'},
      privateKeyEncoding: {format: 'pem', type: 'pkcs8'},
    })
    await openSigstoreKeystore({local: join(host.dir, 'local'), system: join(host.dir, 'system')}).add(name, Buffer.from(publicKey))
    await assert.rejects(host.find(`docker://${registry.host}/ns/app:1.0`), {code: 'RKT_SIGSTORE_NO_SIGNATURE'})
    assert.deepEqual(await host.images(), [])
  })

  test('signed by a trusted key as cosign does it is taken, and no other', async () => {
    using host = aHost()
    const name = `${registry.host.replace(':', '_')}/ns`
    const pair = generateKeyPairSync('ec', {namedCurve: 'P-256'})
    const pem = pair.publicKey.export({format: 'pem', type: 'spki'})
    await openSigstoreKeystore({local: join(host.dir, 'local'), system: join(host.dir, 'system')}).add(name, Buffer.from(pem))
    const payload = (reference: string) =>
      Buffer.from(
        JSON.stringify({
          critical: {
            identity: {'docker-reference': reference},
            image: {'docker-manifest-digest': digest},
            type: 'cosign container image signature',
          },
          optional: null,
        }),
      )
    const publish = (reference: string) =>
      pushSignature(`${registry.host}/ns/app`, digest, payload(reference), (bytes) =>
        sign('sha256', bytes, pair.privateKey).toString('base64'),
      )

    await publish(`${registry.host}/ns/other`)
    await assert.rejects(host.find(`docker://${registry.host}/ns/app:1.0`), {code: 'RKT_SIGSTORE_INVALID'})
    assert.deepEqual(await host.images(), [])

    await publish(`${registry.host}/ns/app`)
    const key = await host.find(`docker://${registry.host}/ns/app:1.0`)
    assert.ok(host.lines.some((line) => /signature verified:\n {2}sigstore key [\da-f]{64}$/.test(line)))
    assert.equal(await host.find(`docker://${registry.host}/ns/app:1.0`, {pullPolicy: 'update'}), key)
  })
})

/** Puts a signature where cosign does, by the registry's own API. */
async function pushSignature(repository: string, digest: string, payload: Buffer, signer: (bytes: Buffer) => string): Promise<void> {
  const [host, ...path] = repository.split('/')
  const base = `http://${host}/v2/${path.join('/')}`
  const put = async (bytes: Buffer) => {
    const own = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const {headers} = await fetch(`${base}/blobs/uploads/`, {method: 'POST'})
    const location = new URL(headers.get('location') ?? '')
    location.searchParams.set('digest', own)
    const answer = await fetch(location, {body: bytes, headers: {'Content-Type': 'application/octet-stream'}, method: 'PUT'})
    assert.equal(answer.status, 201)
    return {digest: own, size: bytes.length}
  }
  const layer = {
    ...(await put(payload)),
    annotations: {'dev.cosignproject.cosign/signature': signer(payload)},
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
  }
  const config = {...(await put(Buffer.from('{}'))), mediaType: 'application/vnd.oci.image.config.v1+json'}
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const body = JSON.stringify({config, layers: [layer], mediaType, schemaVersion: 2})
  const answer = await fetch(`${base}/manifests/${digest.replace(':', '-')}.sig`, {
    body,
    headers: {'Content-Type': mediaType},
    method: 'PUT',
  })
  assert.equal(answer.status, 201)
}

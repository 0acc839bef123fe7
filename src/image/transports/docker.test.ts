import assert from 'node:assert/strict'
import {randomBytes} from 'node:crypto'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {after, before, describe, test} from 'node:test'
import {type RegistryServer, registryMissing, startRegistry, writeLayout} from '../../../test/registry/harness.ts'
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
})

/** Pods whose apps come and go, on networks: what reaches their apps, and what these reach. */
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {aHost, answers, aSandbox, ask, eventually, type Host, Lan, type Running, webServer} from '../harness/index.ts'

test('a web server that is added to a sandbox answers at the port that the sandbox has', async () => {
  using lan = new Lan()
  await using host = await aHost()
  host.within = lan.host.within
  const image = (await host.ok(['fetch', '--full', await webServer()])).trim()
  const {process, uuid} = await aSandbox(host, '--net=default', '--port=http:tcp:80:0.0.0.0:8080')
  await host.ok(['app', 'add', uuid, image, '--name=web'])
  assert.ok(!answers(lan.host, '127.0.0.1:8080'))

  for (let times = 0; times < 2; times++) {
    await host.ok(['app', 'start', uuid, '--app=web'])
    await eventually(() => answers(lan.client, '192.0.2.2:8080'), 'the server to answer')
    assert.equal(ask(lan.client, '192.0.2.2:8080'), '198.51.100.2')
    assert.notEqual(ask(lan.host, '127.0.0.1:8080'), '')
    assert.match(await host.ok(['app', 'exec', '--app=web', uuid, '/bin/cat', '/etc/hosts']), /localhost/)
    await host.ok(['app', 'stop', uuid, '--app=web'])
    assert.ok(!answers(lan.host, '127.0.0.1:8080'))
  }

  await host.ok(['stop', uuid])
  assert.equal((await process.exit).status, 0)
  assert.equal(lan.host.run('nft list ruleset'), '')
})

async function metadataService(host: Host): Promise<Running> {
  const service = host.start(['metadata-service'])
  await eventually(
    () => service.stderr.includes('service running...'),
    () => service.stderr,
  )
  return service
}

for (const net of ['host', 'default']) {
  test(`apps of a registered sandbox on the network ${net} ask the metadata service who they are`, async () => {
    await using host = await aHost()
    const service = await metadataService(host)
    const image = (await host.ok(['fetch', '--full', await webServer()])).trim()
    const {uuid} = await aSandbox(host, `--net=${net}`, '--mds-register')
    const asked = async (app: string, path: string): Promise<string> =>
      await host.ok([
        ...['app', 'exec', `--app=${app}`, uuid, '/bin/sh', '-c'],
        `curl -s -w ' %{http_code}' $AC_METADATA_URL/acMetadata/v1/${path}`,
      ])
    const options = ['--annotation=example.com/colour=blue', '--exec=/bin/sleep', '--', '1000']
    for (const app of ['one', 'two']) {
      await host.ok(['app', 'add', uuid, image, `--name=${app}`, ...options])
      await host.ok(['app', 'start', uuid, `--app=${app}`])
    }

    assert.equal(await asked('one', 'pod/uuid'), `${uuid} 200`)
    assert.equal(await asked('one', 'apps/two/image/id'), `${image} 200`)
    assert.match(await asked('two', 'apps/two/image/manifest'), /"name":"example.com\/web".* 200$/)
    assert.match(await asked('two', 'apps/two/annotations'), /"blue".* 200$/)
    await host.ok(['app', 'rm', uuid, '--app=two'])
    assert.match(await asked('one', 'apps/two/image/id'), / 404$/)

    // While it does not run apps are added all the same, and it learns of them when it starts.
    service.kill()
    await service.exit
    await host.ok(['app', 'add', uuid, image, '--name=three', ...options])
    await metadataService(host)
    assert.equal(await asked('one', 'apps/three/image/id'), `${image} 200`)
    await host.ok(['stop', uuid])
  })
}

test('a sandbox that cannot be registered is refused before there is one', async () => {
  await using host = await aHost()
  const refusal = async (...options: string[]) => {
    const {status, stderr} = await host.rkt(['app', 'sandbox', '--mds-register', ...options])
    assert.equal(status, 1)
    return stderr
  }

  assert.match(await refusal('--net=none'), /--mds-register flag does not work with --net=none/)
  assert.match(await refusal('--net=host'), /could not reach the metadata service/)
  assert.deepEqual(host.pods(), [])
})

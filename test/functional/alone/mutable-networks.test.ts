/** Pods whose apps come and go, on networks: what reaches their apps, and what these reach. */
import assert from 'node:assert/strict'
import {mkdirSync, readdirSync, rmSync} from 'node:fs'
import {createServer} from 'node:http'
import {join} from 'node:path'
import {test} from 'node:test'
import {
  addNetwork,
  aHost,
  answers,
  aSandbox,
  ask,
  busybox,
  echo,
  eventually,
  type Host,
  Lan,
  type Running,
  webServer,
} from '../harness/index.ts'

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

test('a sandbox offers ports of datagrams and of addresses of IPv6, to a pod with such an address and to one without', async () => {
  using lan = new Lan()
  await using host = await aHost()
  host.within = lan.host.within
  const image = (await host.ok(['fetch', '--full', await webServer()])).trim()
  const ranges = [[{subnet: '10.91.0.0/24'}], [{subnet: 'fd91::/64'}]]
  const ipam = {ranges, routes: [{dst: '0.0.0.0/0'}, {dst: '::/0'}], type: 'host-local'}
  addNetwork(host, 'dual.conflist', {cniVersion: '1.0.0', name: 'dual', plugins: [{ipam, ipMasq: true, type: 'ptp'}]})
  const ports = [
    'http:tcp:80:0.0.0.0:8080',
    'http-six:tcp:80:[fd00:2::2]:8081',
    'echo:udp:5001:0.0.0.0:6001',
    'echo-six:udp:5002:[fd00:2::2]:6002',
  ].map((port) => `--port=${port}`)

  for (const [net, asker] of [
    ['dual', 'fd00:2::1'],
    // A process beside the pod carries what comes by IPv6.
    ['default', '172.16.28.1'],
  ] as const) {
    const {process, uuid} = await aSandbox(host, `--net=${net}`, ...ports)
    await host.ok(['app', 'add', uuid, image, '--name=web'])
    await host.ok(['app', 'start', uuid, '--app=web'])
    await eventually(() => answers(lan.client, '192.0.2.2:8080'), 'the server to answer')

    assert.equal(ask(lan.client, '192.0.2.2:8080'), '198.51.100.2')
    assert.equal(ask(lan.router, '[fd00:2::2]:8080'), asker)
    assert.equal(ask(lan.router, '[fd00:2::2]:8081'), asker)
    assert.ok(!answers(lan.client, '192.0.2.2:8081'))
    assert.equal(echo(lan.client, '192.0.2.2:6001'), 'hello\n')
    assert.equal(echo(lan.router, 'fd00:2::2:6001'), 'hello\n')
    assert.equal(echo(lan.router, 'fd00:2::2:6002'), 'hello\n')
    assert.throws(() => echo(lan.client, '192.0.2.2:6002'))

    await host.ok(['stop', uuid])
    assert.equal((await process.exit).status, 0)
    assert.equal(lan.host.run('nft list ruleset'), '')
  }
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

test('an app that the metadata service refuses is not added, nor known to it; one that is removed is gone, whatever the service says', async () => {
  await using host = await aHost()
  const image = (await host.ok(['fetch', '--full', await busybox()])).trim()
  // A service whose disk is full, as it were: what it refuses is decided by the test.
  let refused = /\/two$/
  const told: string[][] = []
  await using service = createServer((request, response) => {
    const body: Buffer[] = []
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      const path = request.url?.replace(/\?.*/, '') ?? ''
      response.statusCode = refused.test(path) ? 500 : 200
      if (/^\/pods\/[\da-f-]+$/.test(path) && request.method === 'PUT') {
        const {apps}: {apps: {name: string}[] | null} = JSON.parse(Buffer.concat(body).toString())
        told.push((apps ?? []).map(({name}) => name))
      }
      response.end()
    })
  })
  mkdirSync('/run/rkt', {recursive: true})
  rmSync('/run/rkt/metadata-svc.sock', {force: true})
  service.listen('/run/rkt/metadata-svc.sock')
  const {dir, uuid} = await aSandbox(host, '--net=host', '--mds-register')
  const add = (name: string) => ['app', 'add', uuid, image, `--name=${name}`]
  const apps = async () => (await host.ok(['app', 'list', '--no-legend', uuid])).trim().split('\n')
  await host.ok(add('one'))

  assert.match(await host.refused(add('two')), /error adding app to pod: PUT \/pods\/\S+\/two returned 500/)

  assert.deepEqual(told, [[], ['one'], ['one', 'two'], ['one']])
  assert.deepEqual([await apps(), readdirSync(join(dir, 'appsinfo'))], [['one\tcreated'], ['one']])
  refused = /./
  const {status, stderr} = await host.rkt(['app', 'rm', uuid, '--app=one'])
  assert.equal(status, 0, stderr)
  assert.match(stderr, /warning: the metadata service still knows app "one": PUT \/pods\/\S+ returned 500/)
  assert.deepEqual(await apps(), [''])
  await host.ok(['stop', uuid])
})

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

import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {chmodSync, chownSync, readdirSync, readFileSync} from 'node:fs'
import {connect} from 'node:net'
import {join} from 'node:path'
import {test} from 'node:test'
import type {ServiceError} from '@grpc/grpc-js'
import {aHost, apiService, busybox, checkout, eventually, NodeClient, pythonClient, Running, rktProgram} from '../harness/index.ts'

const sleeper = (image: string) => [image, '--exec=/bin/sleep', '--', '1000']

test('absurd requests have their status, and neither service nor pod is disturbed', async () => {
  await using host = await aHost()
  const {port, service} = await apiService(host)
  using client = new NodeClient(port)
  const pod = await host.pod(['--net=host', ...sleeper(await busybox())])
  const refused = async (filter: object[]) => (await client.refused('listPods', {filters: filter})).code

  assert.equal(await refused(Array.from({length: 1025}, () => ({}))), 3)
  assert.equal(await refused([{podSubCgroups: Array.from({length: 20_000}, () => '/')}]), 3)
  assert.equal(await refused([{appNames: ['a'.repeat(5 << 20)]}]), 8)
  const long = await client.refused('inspectPod', {id: 'é'.repeat(1 << 20)})
  assert.equal(long.code, 2)
  assert.ok(long.details.length < 2000)
  const odd = {annotations: [{Key: '', value: '\0'}], cgroups: ['../..'], ids: ['\n'], imageIds: ['%s'], states: [-1, 1e6]}
  assert.deepEqual((await client.ask('listPods', {filters: [odd]})).pods, [])
  assert.deepEqual((await client.ask('listImages', {filters: [{importedAfter: -(2n ** 63n), importedBefore: 1n}]})).images, [])

  // No gRPC at all, and half of one.
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '\0'.repeat(100_000)]) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    socket.write(bytes)
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
  }

  assert.equal((await client.ask('listPods')).pods.length, 1)
  assert.ok(!service.ended && !pod.process.ended)
  await pod.stop()
})

test('of ten thousand watchers a thousand are served and the others refused at once', async () => {
  await using host = await aHost()
  const {port, service} = await apiService(host)
  using client = new NodeClient(port)
  using crowd = new NodeClient(port)
  let refused = 0
  const streams = Array.from({length: 10_000}, () => {
    const stream = crowd.stream('listenEvents')
    stream.on('error', ({code}: ServiceError) => {
      if (code === 8) refused++
    })
    return stream
  })

  await eventually(
    () => refused === 10_000 - 1024,
    () => `${refused} to be refused`,
    60_000,
  )

  assert.deepEqual((await client.ask('listPods')).pods, [])
  assert.equal((await client.toEnd('listenEvents')).error?.details, '1024 streams are open already')
  for (const stream of streams) stream.cancel()
  await eventually(async () => {
    const {error} = await client.toEnd('listenEvents', {filter: {untilTime: 1n}})
    return error === undefined
  }, 'places to become free again')
  assert.ok(!service.ended)
})

test('a member of the group that owns the data directory sees its pods, without root, and a stranger is told that he may not', async () => {
  await using host = await aHost()
  const group = 4242
  const image = await busybox()
  const pod = await host.pod(['--net=host', ...sleeper(image)])
  chmodSync(host.dir, 0o755)
  const shared = (path: string) => {
    chownSync(path, 0, group)
    for (const entry of readdirSync(path, {withFileTypes: true})) {
      const child = join(path, entry.name)
      if (entry.isDirectory() && entry.name !== 'tree') shared(child)
      else if (!entry.isSymbolicLink()) chownSync(child, 0, group)
    }
  }
  shared(host.dataDir)
  const service = (gid: number) => {
    const identity = ['--reuid=65534', `--regid=${gid}`, '--clear-groups', '--no-new-privs']
    return new Running(['setpriv', ...identity, rktProgram, ...host.globals, 'api-service', '--listen=localhost:0'], {cwd: '/'})
  }
  await using member = service(group)
  await using stranger = service(65534)
  const portOf = async (running: Running) =>
    Number(
      await eventually(() => {
        if (running.ended) throw new Error(running.stderr)
        return running.stderr.includes('running') && /Listening on localhost:(\d+)/.exec(running.stderr)?.[1]
      }, 'the service to run'),
    )

  const seen = await pythonClient('client', await portOf(member), 'ListPods')
  assert.match(seen.stdout, new RegExp(`"id": "${pod.uuid}".*"POD_STATE_RUNNING"`))
  const images = await pythonClient('client', await portOf(member), 'ListImages')
  assert.match(images.stdout, /"name": "example.com\/busybox"/)
  const refused = await pythonClient('client', await portOf(stranger), 'ListPods')
  assert.equal(refused.status, 1)
  assert.match(refused.stdout, /"UNKNOWN".*permission denied/)
  using client = new NodeClient(await portOf(member))
  await pod.stop()
  await eventually(
    async () => (await client.ask('listPods', {filters: [{states: [6]}]})).pods.length === 1,
    'the end of the pod to be seen',
  )
})

test('systemd may hand over the sockets, but then no address is to be given', async () => {
  await using host = await aHost()
  const words = ['-l', '127.0.0.1:15442', '-l', '127.0.0.1:15443', rktProgram, ...host.globals, 'api-service']
  const activation = spawn('systemd-socket-activate', words, {stdio: ['ignore', 'ignore', 'pipe']})
  let stderr = ''
  activation.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  try {
    await eventually(() => stderr.includes('Listening on 127.0.0.1:15443'), 'systemd to listen')
    for (const port of [15442, 15443]) {
      const {status, stdout} = await pythonClient('client', port, 'GetInfo')
      assert.equal(status, 0, stdout + stderr)
    }
    assert.match(stderr, /^api-service: Listening on 2 systemd-provided socket\(s\)$/m)
  } finally {
    activation.kill('SIGTERM')
  }

  const both = await host.refused(['api-service', '--listen=localhost:0'], {env: {LISTEN_FDS: '1'}})
  assert.match(both, /^api-service: Failed to open sockets: started under systemd\.socket\(5\), but --listen passed! Quitting\.$/m)
})

test('an address that cannot be had is refused, and the service ends well when it is told to', async () => {
  await using host = await aHost()
  const {port, service} = await apiService(host)

  for (const address of [`localhost:${port}`, 'localhost:99999', 'localhost', '192.0.2.1:15441']) {
    assert.match(await host.refused(['api-service', `--listen=${address}`]), /^api-service: could not open tcp socket: /m, address)
  }
  service.kill('SIGINT')
  assert.equal((await service.exit).status, 0)
  const lines = service.stderr.trim().split('\n')
  assert.deepEqual(lines, [
    'api-service: API service starting...',
    `api-service: Listening on localhost:${port}`,
    'api-service: API service running',
    'api-service: API service exiting...',
  ])
})

test('what every other command loads has nothing of gRPC in it', () => {
  const dist = join(checkout, 'dist')
  const files = readdirSync(dist, {recursive: true})
    .map(String)
    .filter((file) => file.endsWith('.js') && !file.startsWith('vendor/'))
  const withGrpc = files.filter((file) => readFileSync(join(dist, file), 'utf8').includes('grpc-js'))

  assert.deepEqual(withGrpc, ['commands/api-service.js'])
})

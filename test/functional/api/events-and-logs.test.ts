import assert from 'node:assert/strict'
import {once} from 'node:events'
import {mkdirSync, readFileSync, renameSync, rmdirSync} from 'node:fs'
import {connect as openHttp2} from 'node:http2'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {type Event, EventType, type GetLogsResponse, PodState} from '../../../plugins/api-service/src/generated/v1alpha_pb.js'
import {aHost, apiService, busybox, eventually, NodeClient, pythonClient, Running} from '../harness/index.ts'

const shell = (image: string, name: string, script: string) => [image, `--name=${name}`, '--exec=/bin/sh', '--', '-c', script]

/** An event as `TYPE FROM DATA`, a pod named by what the test calls it. */
const told = (event: Event, names: Readonly<Record<string, string>>) =>
  [EventType[event.type], names[event.from] ?? event.from, ...event.data.map(({Key, value}) => `${Key}=${value}`)].join(' ')

test('the whole life of a pod and its images is told, in its order', async () => {
  await using host = await aHost()
  const image = await busybox()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const {heard} = await client.events()

  await host.ok(['fetch', image])
  const uuid = (
    await host.ok(['prepare', '--quiet', ...shell(image, 'one', 'sleep 0.2; exit 0'), '---', ...shell(image, 'two', 'sleep 0.6; exit 5')])
  ).trim()
  await host.rkt(['run-prepared', '--net=host', uuid])
  await host.ok(['gc', '--grace-period=0s'])
  await host.ok(['image', 'rm', 'example.com/busybox'])

  await eventually(() => heard.some(({type}) => type === EventType.IMAGE_REMOVED), 'the last event')
  const flavor = 'IMAGE_IMPORTED coreos.com/rkt/stage1-native version=2.0.0'
  assert.deepEqual(
    heard.map((event) => told(event, {[uuid]: 'POD'})).filter((line) => line !== flavor),
    [
      'IMAGE_IMPORTED example.com/busybox version=1.0.0',
      'POD_PREPARED POD',
      'POD_STARTED POD',
      'APP_STARTED one',
      'APP_STARTED two',
      'APP_EXITED one exit_code=0',
      'APP_EXITED two exit_code=5',
      'POD_EXITED POD',
      'POD_GARBAGE_COLLECTED POD',
      'IMAGE_REMOVED example.com/busybox version=1.0.0',
    ],
  )
  const now = Date.now() / 1000
  for (const {id, time, type} of heard) {
    if (!EventType[type]?.startsWith('IMAGE')) assert.equal(id, uuid)
    assert.ok(Math.abs(now - Number(time)) < 60)
  }
})

test('a pod that is killed and one whose preparation is killed are told of, without anybody asking', async () => {
  await using host = await aHost()
  const image = await busybox()
  await host.ok(['fetch', image])
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const {heard} = await client.events()
  const pod = await host.pod(['--net=host', ...shell(image, 'app', 'sleep 1000')])

  pod.process.kill('SIGKILL')

  await eventually(() => heard.some(({id, type}) => id === pod.uuid && type === EventType.POD_EXITED), 'the end of the pod', 5000)
  // Who prepares a pod holds its directory's lock, which is all that a preparation is to others.
  const uuid = '71a713a3-c583-4798-85a2-f8a7e602aac9'
  const place = join(host.dataDir, 'pods/prepare', uuid)
  mkdirSync(host.path('data', uuid))
  await using preparer = new Running(['flock', '--no-fork', host.path('data', uuid), 'sh', '-c', 'echo held; exec sleep 1000'])
  await preparer.says(/held/)
  renameSync(host.path('data', uuid), place)
  await eventually(async () => (await client.ask('inspectPod', {id: uuid})).pod?.state === PodState.PREPARING, 'the preparation')
  assert.ok(!heard.some(({id}) => id === uuid))
  preparer.kill('SIGKILL')
  await eventually(() => heard.some(({id, type}) => id === uuid && type === EventType.POD_PREPARE_ABORTED), 'its end', 5000)
})

test('who listens may choose, ask for the past, and say when it is enough', async () => {
  await using host = await aHost()
  const image = await busybox()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const first = (await host.ok(['prepare', '--quiet', image])).trim()
  const second = (await host.ok(['prepare', '--quiet', image])).trim()
  const start = BigInt(Math.floor(Date.now() / 1000) - 60)
  await client.ask('listPods')

  const names = async (filter: object) => {
    const {error, responses} = await client.toEnd('listenEvents', {filter: {sinceTime: start, untilTime: 1n, ...filter}})
    assert.equal(error, undefined)
    return responses.flatMap(({events}) => events.map(({id}) => id))
  }

  assert.deepEqual(await names({types: [EventType.POD_PREPARED]}), [first, second])
  assert.deepEqual(await names({ids: [second]}), [second])
  assert.deepEqual(await names({names: ['nobody']}), [])
  assert.deepEqual(await names({sinceTime: start + 3600n}), [])
  const until = BigInt(Math.ceil(Date.now() / 1000) + 1)
  const python = await pythonClient(
    'client',
    port,
    'ListenEvents',
    `{"filter": {"ids": ["${first}"], "since_time": "${start}", "until_time": "${until}"}}`,
  )
  assert.equal(python.status, 0, python.stdout)
  assert.ok(Date.now() / 1000 >= Number(until))
  assert.deepEqual(
    (JSON.parse(python.stdout) as {events: {type: string}[]}).events.map(({type}) => type),
    ['EVENT_TYPE_POD_PREPARED'],
  )
})

test('logs are read as the supervisor wrote them, of exited pods too', async () => {
  await using host = await aHost()
  const image = await busybox()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const long = 'x'.repeat(20_000)
  const one = `echo first; echo; echo >&2 second; head -c 20000 /dev/zero | tr '\\0' x; echo; printf '\\377\\n'`
  await host.rkt([
    'run',
    '--net=host',
    '--hostname=box',
    ...shell(image, 'one', one),
    '---',
    ...shell(image, 'two', 'sleep 0.5; echo other'),
  ])
  const [uuid = ''] = host.podsIn('run')
  const lines = async (request: object) => (await client.toEnd('getLogs', {podId: uuid, ...request})).responses

  const [all, ...more] = await lines({})

  assert.equal(more.length, 0, 'one response')
  const texts = all?.lines.map((line) => /^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d (\S+) (.*)$/s.exec(line)?.slice(1))
  assert.deepEqual(
    texts?.map((line) => line?.join(' ')),
    ['box one: first', 'box one: second', `box one: ${long}`, 'box one: \ufffd', 'box two: other'],
  )
  assert.deepEqual((await lines({appName: 'two'}))[0]?.lines.length, 1)
  assert.deepEqual((await lines({appName: 'nobody'}))[0]?.lines, [])
  assert.deepEqual((await lines({lines: 2}))[0]?.lines, all?.lines.slice(-2))
  assert.deepEqual((await lines({sinceTime: BigInt(Math.floor(Date.now() / 1000) + 60)}))[0]?.lines, [])
  assert.deepEqual((await lines({sinceTime: 1n}))[0]?.lines, all?.lines)
  const python = await pythonClient('client', port, 'GetLogs', `{"pod_id": "${uuid.slice(0, 8)}", "app_name": "one", "lines": 1}`)
  assert.deepEqual(JSON.parse(python.stdout), {lines: [all?.lines[3]]})
})

test('a log is followed until the client has enough, whole lines, none twice and none lost', async () => {
  await using host = await aHost()
  const image = await busybox()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const pod = await host.pod(['--net=host', ...shell(image, 'app', 'n=0; while true; do n=$((n+1)); echo line $n; sleep 0.005; done')])
  const stream = client.stream('getLogs', {follow: true, podId: pod.uuid})
  const lines: string[] = []
  stream.on('data', (response: GetLogsResponse) => lines.push(...response.lines))

  await eventually(() => lines.length > 200, 'two hundred lines')
  stream.cancel()

  const numbers = lines.map((line) => Number(/line (\d+)$/.exec(line)?.[1]))
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  )
  const started = lines.length
  await sleep(200)
  assert.equal(lines.length, started, 'nothing after the client has gone')
  const followed = client.toEnd('getLogs', {follow: true, lines: 1, podId: pod.uuid})
  await pod.stop('--force')
  await host.ok(['rm', pod.uuid])
  const {error, responses} = await followed
  assert.equal(error, undefined, 'the stream ends with the pod')
  assert.ok(responses.length > 0)
})

test('what has no log says so', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const prepared = (await host.ok(['prepare', '--quiet', await busybox()])).trim()
  const failure = async (request: object) => (await client.toEnd('getLogs', request)).error

  assert.equal((await failure({podId: prepared}))?.details, `logging unsupported for pod "${prepared}"`)
  assert.equal((await failure({podId: 'zzz'}))?.details, 'unable to resolve UUID: no matches found for "zzz"')
  const odd = await failure({appName: '../../pod', podId: prepared})
  assert.deepEqual([odd?.code, odd?.details], [3, '"../../pod" is not a valid app name'])
})

test('a client that does not read what it asked for is given up, and nobody else notices', async () => {
  await using host = await aHost()
  const {port, service} = await apiService(host)
  using client = new NodeClient(port)
  const prepared = join(host.dataDir, 'pods/prepared')
  await client.ask('listPods')
  // Without a library, which would read ahead.
  const slow = openHttp2(`http://127.0.0.1:${port}`)
  const request = (method: string) => {
    const path = `/v1alpha.PublicAPI/${method}`
    return slow.request({':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers'}).end(Buffer.alloc(5))
  }
  const stream = request('ListenEvents')
  // Behind it on the same connection: once this is answered, the service listens for the stream.
  await once(request('GetInfo').resume(), 'end')
  const {heard} = await client.events()
  const uuid = (index: number) => `71a713a3-c583-4798-85a2-${String(index).padStart(12, '0')}`

  // Directories that come and go in the place of prepared pods are pods.
  const rounds = 5
  const many = 1000
  for (let round = 1; round <= rounds; round++) {
    for (let index = 0; index < many; index++) mkdirSync(join(prepared, uuid(index)))
    await eventually(() => heard.length >= (2 * round - 1) * many, `the events of round ${round}`, 30_000)
    for (let index = 0; index < many; index++) rmdirSync(join(prepared, uuid(index)))
    await eventually(() => heard.length >= 2 * round * many, `the events of round ${round}`, 30_000)
  }

  const trailers = once(stream, 'trailers')
  stream.resume()
  const [{'grpc-message': message, 'grpc-status': status}] = await trailers
  slow.close()
  assert.deepEqual([status, decodeURIComponent(String(message))], ['8', 'the client reads events too slowly'])
  assert.equal(heard.length, 2 * rounds * many)
  assert.ok(!service.ended)
  const memory = readFileSync(`/proc/${service.pid}/status`, 'utf8')
  assert.ok(Number(/VmRSS:\s+(\d+)/.exec(memory)?.[1]) < 400_000, memory)
})

import assert from 'node:assert/strict'
import {cpSync, existsSync, readdirSync, renameSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {AppState, PodState} from '../../../plugins/api-service/src/generated/v1alpha_pb.js'
import {addBusybox, aHost, apiService, buildImage, eventually, type Host, manifest, NodeClient, pythonClient} from '../harness/index.ts'

/** An image with annotations and a version of its own: `example.com/sleeper:2.1.0`. */
async function sleeper(): Promise<string> {
  const annotations = [{name: 'authors', value: 'ada'}]
  const app = {exec: ['/bin/sleep', '1000']}
  return await buildImage(manifest({annotations, app, name: 'example.com/sleeper', version: '2.1.0'}), addBusybox)
}

const parse = <T>(text: string) => JSON.parse(text) as T

/** What `rkt list` says of the pod of that UUID, times to the nanosecond as text. */
async function reported(host: Host, uuid: string): Promise<{created: string; started: string; state: string}> {
  const text = await host.ok(['list', '--format=json'])
  const pod = parse<{name: string; state: string}[]>(text).find(({name}) => name === uuid)
  const [, created = ''] = /"created_at":(\d{16,})/.exec(text) ?? []
  const [, started = ''] = /"started_at":(\d{16,})/.exec(text) ?? []
  return {created, started, state: pod?.state ?? ''}
}

test('a pod over the API is the pod of the command line, for clients in two languages', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const image = await sleeper()
  const done = [image, '--name=done', '--exec=/bin/sh', '--', '-c', ':']
  const pod = await host.pod(['--net=host', image, '--annotation=example.com/colour=blue', '---', ...done])

  const {pods} = await client.ask('listPods')
  const python = await pythonClient('client', port, 'ListPods', '{"detail": true}')

  const [listed] = pods
  assert.equal(pods.length, 1)
  assert.ok(listed)
  const {created, started} = await reported(host, pod.uuid)
  assert.equal(listed.id, pod.uuid)
  assert.equal(listed.state, PodState.RUNNING)
  assert.equal(String(listed.pid), (await pod.status()).pid)
  assert.deepEqual([String(listed.createdAt), String(listed.startedAt)], [created, started])
  assert.equal(listed.gcMarkedAt, 0n)
  assert.match(listed.cgroup, /^\/.*\/machine-rkt\\x2d.*\.scope$/)
  assert.deepEqual(
    listed.annotations.map(({Key, value}) => [Key, value]),
    [['coreos.com/rkt/stage1/mutable', 'false']],
  )
  const [app, other] = listed.apps
  assert.ok(app && other)
  assert.deepEqual([app.name, app.image?.name, app.image?.version], ['sleeper', 'example.com/sleeper', '2.1.0'])
  assert.match(app.image?.id ?? '', /^sha512-[\da-f]+$/)
  assert.equal(app.state, AppState.RUNNING)
  assert.deepEqual(
    app.annotations.map(({Key, value}) => [Key, value]),
    [['example.com/colour', 'blue']],
  )
  assert.deepEqual([other.name, other.state], ['done', AppState.RUNNING], 'the state is that of the pod')
  assert.equal(listed.manifest.length, 0, 'no manifest without detail')

  const [same] = parse<{pods: Record<string, unknown>[]}>(python.stdout).pods
  assert.equal(python.status, 0, python.stdout)
  assert.deepEqual([same?.id, same?.pid, same?.state], [pod.uuid, listed.pid, 'POD_STATE_RUNNING'])
  assert.equal(same?.created_at, created)
  const bytes = Buffer.from(String(same?.manifest), 'base64').toString()
  assert.deepEqual(parse(bytes), parse(await host.ok(['cat-manifest', '--pretty-print=false', pod.uuid])))

  const inspected = (await client.ask('inspectPod', {id: pod.uuid.slice(0, 8).toUpperCase()})).pod
  assert.equal(Buffer.from(inspected?.manifest ?? []).toString(), bytes)
})

test('the life of a pod is seen as it goes on, at the very next request', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const image = await sleeper()
  const only = async () => (await client.ask('listPods')).pods.map(({state}) => PodState[state])

  assert.deepEqual(await only(), [])
  const uuid = (await host.ok(['prepare', '--quiet', image, '--exec=/bin/sh', '--', '-c', 'exit 3'])).trim()
  assert.deepEqual(await only(), ['PREPARED'])
  assert.equal((await host.rkt(['run-prepared', '--net=host', uuid])).status, 3)
  assert.deepEqual(await only(), ['EXITED'])
  const [exited] = (await client.ask('listPods')).pods
  assert.deepEqual(
    exited?.apps.map(({exitCode, state}) => [exitCode, AppState[state]]),
    [[3, 'EXITED']],
  )
  assert.equal(exited?.cgroup, '')
  await host.ok(['gc', '--mark-only'])
  assert.deepEqual(await only(), ['GARBAGE'])
  const [marked] = (await client.ask('listPods')).pods
  assert.ok(marked && marked.gcMarkedAt > marked.startedAt)
  await host.ok(['gc', '--grace-period=0s'])
  assert.deepEqual(await only(), [])
})

test('a pod that is killed is an exited one, and one whose images have no manifest any more is listed', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const image = await sleeper()
  const pod = await host.pod(['--net=host', image])
  const prepared = (await host.ok(['prepare', '--quiet', image])).trim()
  rmSync(join(host.dataDir, 'pods/prepared', prepared, 'appsinfo/sleeper/manifest'))

  pod.process.kill('SIGKILL')
  await pod.process.exit

  await eventually(async () => (await client.ask('inspectPod', {id: pod.uuid})).pod?.state === PodState.EXITED, 'the pod to have exited')
  const {pods} = await client.ask('listPods', {detail: true})
  assert.equal(pods.length, 2)
  // A service that starts now reads it without its image's manifest.
  const second = await apiService(host)
  using fresh = new NodeClient(second.port)
  const bare = (await fresh.ask('inspectPod', {id: prepared})).pod
  assert.deepEqual([bare?.apps[0]?.name, bare?.apps[0]?.image?.name], ['sleeper', ''])
  rmSync(join(host.dataDir, 'pods/prepared', prepared, 'pod'))
  const third = await apiService(host)
  using last = new NodeClient(third.port)
  const empty = (await last.ask('inspectPod', {id: prepared})).pod
  assert.deepEqual([empty?.id, empty?.state, empty?.apps], [prepared, PodState.PREPARED, []])
})

test('images over the API are those of the command line, and come and go with it', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  assert.deepEqual((await client.ask('listImages')).images, [])
  await host.ok(['fetch', await sleeper()])

  const {images} = await client.ask('listImages')

  const [image] = images
  assert.equal(images.length, 1)
  assert.ok(image)
  const table = await host.ok(['image', 'list', '--full', '--no-legend', '--fields=id,name,size'])
  assert.deepEqual(table.trim().split(/\t+/), [image.id, `${image.name}:${image.version}`, String(image.size)])
  const [{import_time: imported = 0} = {}] = parse<{import_time: number}[]>(await host.ok(['image', 'list', '--format=json']))
  assert.equal(Number(image.importTimestamp), Math.floor(imported / 1e9))
  assert.deepEqual(
    image.annotations.map(({Key, value}) => [Key, value]),
    [['authors', 'ada']],
  )
  assert.deepEqual(
    image.labels.map(({Key}) => Key),
    ['version', 'os', 'arch'],
  )
  assert.equal(image.manifest.length, 0)
  const inspected = (await client.ask('inspectImage', {id: image.id})).image
  const text = await host.ok(['image', 'cat-manifest', '--pretty-print=false', image.id])
  assert.deepEqual(parse(Buffer.from(inspected?.manifest ?? []).toString()), parse(text))
  assert.deepEqual((await client.ask('listImages', {detail: true})).images[0]?.manifest, inspected?.manifest)

  const named = async (filter: object) => (await client.ask('listImages', {filters: [filter]})).images.length
  assert.equal(await named({baseNames: ['sleeper']}), 1)
  assert.equal(await named({prefixes: ['example.org/']}), 0)
  await host.ok(['image', 'rm', image.id])
  assert.deepEqual((await client.ask('listImages')).images, [])
  const {code, details} = await client.refused('inspectImage', {id: image.id})
  assert.deepEqual([code, details], [2, `ACI info not found with blob key "${image.id}"`])
})

test('what cannot be found has the documented text, with the status UNKNOWN', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  await host.ok(['prepare', '--quiet', await sleeper()])

  const missing = await client.refused('inspectPod', {id: 'zzz'})
  assert.deepEqual([missing.code, missing.details], [2, 'unable to resolve UUID: no matches found for "zzz"'])
  const empty = await client.refused('inspectPod', {id: ''})
  assert.deepEqual([empty.code, empty.details], [2, 'unable to resolve UUID: UUID cannot be empty'])
  const python = await pythonClient('client', port, 'InspectImage', '{"id": "sha512-1"}')
  assert.equal(python.status, 1)
  assert.deepEqual(parse(python.stdout), {code: 'UNKNOWN', details: 'ACI info not found with blob key "sha512-1"'})
})

test('GetInfo says what the service is and how it was started', async () => {
  await using host = await aHost()
  const options = ['--insecure-options=image,seccomp', '--trust-keys-from-https', `--user-config=${host.userConfig}`]
  const {port} = await apiService(host, {globals: [...host.globals, ...options]})

  const {stdout} = await pythonClient('client', port, 'GetInfo')

  assert.deepEqual(parse(stdout), {
    info: {
      api_version: '1.0.0-alpha',
      appc_version: '0.8.11',
      global_flags: {
        dir: host.dataDir,
        insecure_flags: 'image,seccomp',
        local_config_dir: host.localConfig,
        system_config_dir: host.systemConfig,
        trust_keys_from_https: true,
        user_config_dir: host.userConfig,
      },
      rkt_version: '2.0.0',
    },
  })
})

test('clients that know no .proto of ours find the API by reflection, and load balancers that it serves', async () => {
  await using host = await aHost()
  const {port} = await apiService(host)

  const {status, stderr, stdout} = await pythonClient('services', port)

  assert.equal(status, 0, stderr)
  const found = parse<{health: string[]; info: {rkt_version: string}; methods: string[]; services: string[]; watched: string}>(stdout)
  const reflection = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection']
  assert.deepEqual(found.services, ['grpc.health.v1.Health', ...reflection, 'v1alpha.PublicAPI'])
  assert.equal(found.methods.length, 7)
  assert.equal(found.info.rkt_version, '2.0.0')
  assert.deepEqual(found.health, ['SERVING', 'SERVING', 'NOT_FOUND'])
  assert.equal(found.watched, 'SERVING')
})

test('a list of a thousand pods is answered in less than 100 ms, without a look at the disk', async () => {
  await using host = await aHost()
  const image = await sleeper()
  const uuid = (await host.ok(['prepare', '--quiet', image])).trim()
  const prepared = join(host.dataDir, 'pods/prepared')
  const number = (index: number) => String(index).padStart(4, '0')
  for (let index = 1; index < 1000; index++) {
    cpSync(join(prepared, uuid), join(prepared, `${uuid.slice(0, -4)}${number(index)}`), {preserveTimestamps: true, recursive: true})
  }
  const count = readdirSync(prepared).length
  assert.ok(count >= 999)
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  await client.ask('listPods', {detail: true})

  // Where nothing lies any more nothing can be read.
  renameSync(join(host.dataDir, 'pods'), join(host.dataDir, 'elsewhere'))
  assert.ok(!existsSync(prepared))
  const times: number[] = []
  for (let round = 0; round < 10; round++) {
    const before = performance.now()
    const {pods} = await client.ask('listPods', {detail: round % 2 === 0})
    times.push(performance.now() - before)
    assert.equal(pods.length, count)
  }
  renameSync(join(host.dataDir, 'elsewhere'), join(host.dataDir, 'pods'))

  // The quickest of them: the others may have waited for whatever else the machine does.
  assert.ok(Math.min(...times) < 100, times.map((time) => time.toFixed(1)).join(' '))
  const one = await client.ask('listPods', {filters: [{ids: [uuid]}]})
  assert.equal(one.pods.length, 1)
})

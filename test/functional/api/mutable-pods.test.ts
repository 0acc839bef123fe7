/** Pods whose apps come and go, as clients of the API see them, beside what `rkt app` says. */
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type App, type Event, EventType} from '../../../plugins/api-service/src/generated/v1alpha_pb.js'
import {aHost, apiService, aSandbox, busybox, eventually, NodeClient} from '../harness/index.ts'

interface Status {
  readonly exit_code?: number
  readonly image_id: string
}

const told = ({data, from, type}: Event, uuid: string) =>
  [EventType[type], from === uuid ? 'POD' : from, ...data.map(({Key, value}) => `${Key}=${value}`)].join(' ')

test('apps of a sandbox are told of as they are started, end, are started again and removed', async () => {
  await using host = await aHost()
  const image = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const {port} = await apiService(host)
  using client = new NodeClient(port)
  const {heard} = await client.events()
  const {process, uuid} = await aSandbox(host, '--net=none')
  const add = (name: string, script: string) => host.ok(['app', 'add', uuid, image, `--name=${name}`, '--exec=/bin/sh', '--', '-c', script])
  const app = (verb: string, name: string) => host.ok(['app', verb, uuid, `--app=${name}`])
  /** The API says of the pod what the command line does; the states of its apps are the pod's. */
  const agrees = async () => {
    const {pod} = await client.ask('inspectPod', {id: uuid})
    const names = (await host.ok(['app', 'list', '--no-legend', uuid])).split('\n').flatMap((line) => line.split('\t')[0] || [])
    assert.deepEqual(
      pod?.apps.map(({name}) => name),
      names,
    )
    assert.equal(Buffer.from(pod?.manifest ?? []).toString(), (await host.ok(['cat-manifest', '--pretty-print=false', uuid])).trim())
    for (const name of names) {
      const status: Status = JSON.parse(await host.ok(['app', 'status', uuid, `--app=${name}`, '--format=json']))
      const seen: App | undefined = pod?.apps.find((each) => each.name === name)
      assert.deepEqual([seen?.exitCode, seen?.image?.id], [status.exit_code ?? 0, status.image_id])
      assert.equal(seen?.image?.name, 'example.com/busybox')
    }
  }
  const ended = async (name: string) =>
    await eventually(async () => /^exit_code=/m.test(await host.ok(['app', 'status', uuid, `--app=${name}`])), `the end of ${name}`)

  await add('failing', 'exit 7')
  await agrees()
  for (let times = 0; times < 2; times++) {
    await app('start', 'failing')
    await ended('failing')
    await agrees()
  }
  await add('steady', 'sleep 1000')
  await app('start', 'steady')
  await agrees()
  await app('stop', 'steady')
  await agrees()
  await app('start', 'steady')
  await agrees()
  await app('rm', 'steady')
  await app('rm', 'failing')
  await agrees()
  await add('failing', 'exit 8')
  await app('start', 'failing')
  await ended('failing')
  await add('last', 'sleep 1000')
  await app('start', 'last')
  await host.ok(['stop', uuid])
  await process.exit
  const ofPod = () => heard.filter(({id}) => id === uuid)
  await eventually(() => ofPod().some(({type}) => type === EventType.POD_EXITED), 'the end of the pod')
  await host.ok(['rm', uuid])

  await eventually(() => ofPod().some(({type}) => type === EventType.POD_GARBAGE_COLLECTED), 'the last event')
  const lines = ofPod().map((event) => told(event, uuid))
  // The status of an app that is removed while it runs goes with it; who looks in time knows it.
  const removed = 8
  assert.deepEqual(
    lines.map((line, index) => (index === removed ? line.replace(' exit_code=0', '') : line)),
    [
      'POD_STARTED POD',
      'APP_STARTED failing',
      'APP_EXITED failing exit_code=7',
      'APP_STARTED failing',
      'APP_EXITED failing exit_code=7',
      'APP_STARTED steady',
      'APP_EXITED steady exit_code=0',
      'APP_STARTED steady',
      'APP_EXITED steady',
      'APP_STARTED failing',
      'APP_EXITED failing exit_code=8',
      'APP_STARTED last',
      'APP_EXITED last exit_code=0',
      'POD_EXITED POD',
      'POD_GARBAGE_COLLECTED POD',
    ],
  )
})

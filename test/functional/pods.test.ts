import assert from 'node:assert/strict'
import {existsSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {aHost, busybox, eventually, familyOf, redis} from './harness/index.ts'

const flavors = {fly: ['--stage1-name=coreos.com/rkt/stage1-fly:2.0.0'], native: []}

for (const [flavor, options] of Object.entries(flavors)) {
  test(`${flavor}: a pod is prepared, run, seen, stopped and collected`, async () => {
    await using host = await aHost()
    const uuid = (await host.ok(['prepare', '--quiet', ...options, await busybox(), '--exec=/bin/sleep', '--', '1000'])).trim()
    assert.match(await host.ok(['status', uuid]), /^state=prepared\ncreated=\d{4}-\d\d-\d\d .*\n$/)
    assert.deepEqual(host.podsIn('prepared'), [uuid])

    const process = host.start(['run-prepared', '--net=host', uuid])
    await eventually(async () => /^pid=\d+$/m.test(await host.ok(['status', uuid])), 'the pod to run')
    const status = await host.ok(['status', uuid])
    assert.match(status, /^state=running\ncreated=.*\nstarted=.*\nnetworks=\npid=\d+\nexited=false\n/)
    assert.deepEqual(host.podsIn('run'), [uuid])

    assert.equal(await host.ok(['stop', uuid]), `"${uuid}"\n`)
    const {status: exitStatus} = await process.exit
    if (flavor === 'native') assert.equal(exitStatus, 0, process.stderr)
    assert.match(await host.ok(['status', uuid]), /^state=exited\n(.*\n)*exited=true\n/)
    assert.equal(await host.ok(['stop', uuid]), `pod "${uuid}" is already stopped\n`)

    const marked = await host.rkt(['gc', '--mark-only'])
    assert.match(marked.stderr, new RegExp(`^gc: moving pod "${uuid}" to garbage$`, 'm'))
    assert.match(await host.ok(['status', uuid]), /^state=exited garbage$/m)
    assert.match((await host.rkt(['gc'])).stderr, new RegExp(`pod "${uuid}" not removed: still within grace period \\(30m0s\\)`))
    assert.equal(await host.ok(['gc', '--grace-period=0s']), `Garbage collecting pod "${uuid}"\n`)
    assert.deepEqual(host.pods(), [])
  })

  test(`${flavor}: no Node process stays beside a running pod`, async () => {
    await using host = await aHost()
    const pod = await host.pod([...options, '--net=host', await busybox(), '--exec=/bin/sleep', '--', '1000'], {ready: flavor === 'native'})

    const family = familyOf(pod.process.pid)

    assert.ok(
      family.some(({command}) => command.includes('sleep 1000')),
      JSON.stringify(family),
    )
    assert.deepEqual(
      family.filter(({executable}) => /\/node$/.test(executable)),
      [],
    )
  })

  test(`${flavor}: the status of rkt run is the app's`, async () => {
    await using host = await aHost()
    const image = await busybox()

    for (const status of [0, 7, 255]) {
      const result = await host.rkt(['run', ...options, '--net=host', image, '--exec=/bin/sh', '--', '-c', `exit ${status}`])
      assert.equal(result.status, status, result.stderr)
    }
  })

  test(`${flavor}: enter runs a command beside the app, with its environment, and answers its status`, async () => {
    await using host = await aHost()
    const pod = await host.pod(
      [...options, '--net=host', await busybox(), '--exec=/bin/sleep', '--environment=COLOUR=blue', '--', '1000'],
      {ready: flavor === 'native'},
    )

    assert.equal(await host.ok(['enter', pod.uuid, '/bin/sh', '-c', 'echo $COLOUR']), 'blue\n')
    assert.equal((await host.rkt(['enter', pod.uuid, '/bin/sh', '-c', 'exit 9'])).status, 9)
    const shell = await host.rkt(['enter', pod.uuid])
    assert.match(shell.stderr, /^enter: no command specified, assuming "\/bin\/bash"$/m)
    await pod.stop('--force')
    assert.equal(
      await host.refused(['enter', pod.uuid, '/bin/true']),
      `enter: pod "${pod.uuid}" isn't currently running\n` +
        `enter: It has ended; "rkt status ${pod.uuid}" says how, "rkt logs ${pod.uuid}" what its apps wrote.\n`,
    )
  })

  test(`${flavor}: stop --force kills the pod`, async () => {
    await using host = await aHost()
    const pod = await host.pod([...options, '--net=host', await busybox(), '--exec=/bin/sh', '--', '-c', 'trap "" TERM; exec sleep 1000'], {
      ready: flavor === 'native',
    })

    const {signal, status} = await pod.stop('--force')

    assert.ok(signal === 'SIGKILL' || (status ?? 0) !== 0, `status ${status}, signal ${signal}`)
    assert.match(await host.ok(['status', pod.uuid]), /^state=exited$/m)
  })

  test(`${flavor}: copies serve where there is no overlay`, async () => {
    await using host = await aHost()

    const pod = await host.pod(
      [...options, '--no-overlay', '--net=host', await busybox(), '--exec=/bin/sh', '--', '-c', 'echo changed > /etc/group; sleep 1000'],
      {ready: flavor === 'native'},
    )

    assert.ok(!existsSync(join(pod.dir, 'overlay-prepared')))
    const changed = join(pod.dir, 'stage1/rootfs/opt/stage2/busybox/rootfs/etc/group')
    await eventually(() => readFileSync(changed, 'utf8') === 'changed\n', 'the app to write')
    const again = await host.rkt(['run', ...options, '--net=host', await busybox(), '--exec=/bin/cat', '--', '/etc/group'])
    assert.match(again.stdout, /root:x:0:/, 'another pod of the image sees the image')
  })
}

test('redis answers PING to another app of the same pod', async () => {
  await using host = await aHost()
  const image = await redis()
  const client = 'until redis-cli -h 127.0.0.1 ping 2>/dev/null; do sleep 0.1; done; sleep 1000'

  const pod = await host.pod(['--net=none', image, '--name=server', image, '--name=client', '--exec=/bin/sh', '--', '-c', client])

  await pod.process.says(/client\[\d+\]: PONG/)
  assert.deepEqual(
    (await host.ok(['list', '--no-legend']))
      .trimEnd()
      .split('\n')
      .map((row) => row.split(/\t+/)[1]),
    ['server', 'client'],
  )
  const {status} = await pod.stop()
  assert.equal(status, 0, pod.process.stderr)
  assert.match(await host.ok(['status', pod.uuid]), /^app-server=0$/m)
})

test('the first app that fails gives the pod its status, and the others are stopped', async () => {
  await using host = await aHost()
  const image = await busybox()
  const exec = (name: string, script: string) => [image, `--name=${name}`, '--exec=/bin/sh', '--', '-c', script, '---']

  const saved = host.path('uuid')
  const result = await host.rkt([
    'run',
    '--net=none',
    `--uuid-file-save=${saved}`,
    ...exec('good', 'exit 0'),
    ...exec('bad', 'sleep 0.3; exit 5'),
    ...exec('late', 'sleep 1000'),
  ])

  assert.equal(result.status, 5, result.stderr)
  const status = await host.ok(['status', readFileSync(saved, 'utf8')])
  assert.match(status, /^app-good=0$/m)
  assert.match(status, /^app-bad=5$/m)
  assert.match(status, /^app-late=/m)
})

test('while one app runs, the status of another that ended is known', async () => {
  await using host = await aHost()
  const image = await busybox()

  const pod = await host.pod([
    '--net=none',
    image,
    '--name=short',
    '--exec=/bin/true',
    image,
    '--name=long',
    '--exec=/bin/sleep',
    '--',
    '1000',
  ])

  const [listed] = await eventually(async () => {
    const pods = JSON.parse(await host.ok(['list', '--format=json']))
    return pods[0].apps[0].exit_code !== undefined && pods
  }, 'the short app to end')
  assert.equal(listed.state, 'running')
  assert.deepEqual(
    listed.apps.map((app: {exit_code?: number; name: string; state: string}) => [app.name, app.state, app.exit_code]),
    [
      ['short', 'exited', 0],
      ['long', 'running', undefined],
    ],
  )
  await pod.stop()
})

test('SIGTERM and SIGINT to rkt run end the pod orderly', async () => {
  await using host = await aHost()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const pod = await host.pod([
      '--net=none',
      await busybox(),
      '--exec=/bin/sh',
      '--',
      '-c',
      'trap "echo ended orderly; exit 0" TERM INT; echo up; while :; do sleep 0.1; done',
    ])
    await pod.process.says(/up/)

    pod.process.kill(signal)
    const {status, stdout} = await pod.process.exit

    assert.equal(status, 0, `${signal}: ${pod.process.stderr}`)
    assert.match(stdout, /ended orderly/, signal)
  }
})

test('an app that ignores TERM is killed after its grace, not waited for forever', async () => {
  await using host = await aHost()
  const pod = await host.pod([
    '--net=none',
    await busybox(),
    '--exec=/bin/sh',
    '--',
    '-c',
    'trap "" TERM; echo up; while :; do sleep 0.1; done',
  ])
  await pod.process.says(/up/)

  await host.ok(['stop', pod.uuid], {timeoutMs: 120_000})
  await pod.process.exit

  assert.match(await host.ok(['status', pod.uuid]), /^state=exited$/m)
})

test('status --wait waits for the end, --wait-ready for the supervisor, and a time limit ends both', async () => {
  await using host = await aHost()
  const image = await busybox()
  const pod = await host.pod(['--net=none', image, '--exec=/bin/sh', '--', '-c', 'until [ -e /go ]; do sleep 0.1; done; exit 3'])

  assert.match(await host.ok(['status', '--wait-ready=20s', pod.uuid]), /^state=running$/m)
  assert.match(await host.refused(['status', '--wait=200ms', pod.uuid]), /error waiting for pod to finish: context deadline exceeded/)
  // The pod may end before touch(1) has.
  const [ended] = await Promise.all([host.ok(['status', '--wait', pod.uuid]), host.rkt(['enter', pod.uuid, '/bin/touch', '/go'])])
  assert.match(ended, /^state=exited$/m)
  assert.match(ended, /^app-busybox=3$/m)
  const prepared = (await host.ok(['prepare', '--quiet', image])).trim()
  assert.match(await host.refused(['status', '--wait-ready=200ms', prepared]), /error waiting for pod readiness: context deadline exceeded/)
})

test('UUID files serve run, status, stop, cat-manifest and rm', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await busybox(), '--exec=/bin/sleep', '--', '1000'])
  const file = host.write('uuid', `  ${pod.uuid}\n`)
  const saved = host.path('uuid-0')
  assert.equal(readFileSync(saved, 'utf8'), pod.uuid, '36 characters and no newline')
  assert.equal(statSync(saved).mode & 0o777, 0o644)

  assert.match(await host.ok(['status', `--uuid-file=${file}`]), /^state=running$/m)
  assert.equal(JSON.parse(await host.ok(['cat-manifest', `--uuid-file=${file}`])).acKind, 'PodManifest')
  assert.equal(
    await host.refused(['rm', `--uuid-file=${file}`]),
    `rm: pod "${pod.uuid}" is currently running\nrm: failed to remove one or more pods\n`,
  )
  assert.equal(await host.ok(['stop', `--uuid-file=${file}`]), `"${pod.uuid}"\n`)
  await pod.process.exit
  assert.equal(await host.ok(['rm', `--uuid-file=${file}`]), `"${pod.uuid}"\n`)
  assert.deepEqual(host.pods(), [])
})

test('rm goes on with the other pods after one that cannot be removed', async () => {
  await using host = await aHost()
  const image = await busybox()
  const running = await host.pod(['--net=none', image, '--exec=/bin/sleep', '--', '1000'])
  const prepared = (await host.ok(['prepare', '--quiet', image])).trim()

  const result = await host.rkt(['rm', 'ffffffff', running.uuid, prepared])

  assert.equal(result.status, 254)
  assert.equal(result.stdout, `"${prepared}"\n`)
  assert.match(result.stderr, /^rm: cannot get pod: no matches found for "ffffffff"$/m)
  assert.match(result.stderr, new RegExp(`^rm: pod "${running.uuid}" is currently running$`, 'm'))
  assert.match(result.stderr, /^rm: failed to remove one or more pods$/m)
  await running.stop()
})

test('gc removes prepared pods that waited too long, and leaves young ones and running ones', async () => {
  await using host = await aHost()
  const image = await busybox()
  const running = await host.pod(['--net=none', image, '--exec=/bin/sleep', '--', '1000'])
  const prepared = (await host.ok(['prepare', '--quiet', image])).trim()

  await host.ok(['gc', '--grace-period=0s'])
  assert.deepEqual(host.pods().sort(), [`prepared/${prepared}`, `run/${running.uuid}`])
  const expired = await host.rkt(['gc', '--grace-period=0s', '--expire-prepared=0s'])

  assert.match(expired.stderr, new RegExp(`moving expired prepared pod "${prepared}" to garbage`))
  assert.equal(expired.stdout, `Garbage collecting pod "${prepared}"\n`)
  assert.deepEqual(host.pods(), [`run/${running.uuid}`])
  await running.stop()
})

test('run-prepared works when the image was removed meanwhile', async () => {
  await using host = await aHost()
  const uuid = (await host.ok(['prepare', '--quiet', await busybox(), '--exec=/bin/echo', '--', 'prepared', 'hello'])).trim()
  await host.ok(['image', 'rm', 'example.com/busybox'])

  const result = await host.rkt(['run-prepared', '--net=none', uuid])

  assert.equal(result.status, 0, result.stderr)
  assert.match(result.stdout, /^\[.*\] busybox\[\d+\]: prepared hello$/m)
  assert.equal(
    await host.refused(['run-prepared', uuid]),
    `run-prepared: pod "${uuid}" is not prepared\nrun-prepared: A pod runs once; prepare another.\n`,
  )
  assert.match(await host.ok(['list', '--no-legend']), /example.com\/busybox:1.0.0/, 'the image keeps its name in the list')
})

test('list shows pods in tables and as JSON', async () => {
  await using host = await aHost()
  assert.equal(await host.ok(['list']), 'UUID\tAPP\tIMAGE NAME\tSTATE\tCREATED\tSTARTED\tNETWORKS\n')
  assert.equal(await host.ok(['list', '--format=json']), 'null\n')
  const image = await busybox()
  const id = (await host.ok(['fetch', '--full', image])).trim()
  const uuid = (await host.ok(['prepare', '--quiet', image, '--user-label=team=red', '--user-annotation=note=x'])).trim()

  assert.match(
    await host.ok(['list', '--no-legend']),
    new RegExp(`^${uuid.slice(0, 8)}\\tbusybox\\t+example.com/busybox:1.0.0\\t+prepared\\t+\\S.*\\n$`),
  )
  assert.match(
    await host.ok(['list', '--full', '--no-legend']),
    new RegExp(`^${uuid}\\tbusybox\\t+example.com/busybox:1.0.0\\t+${id.slice(0, 19)}\\tprepared\\t+\\d{4}-\\d\\d-\\d\\d .*\\n$`),
  )
  const [pod] = JSON.parse(await host.ok(['list', '--format=json']))
  assert.deepEqual([pod.name, pod.state, pod.app_names], [uuid, 'prepared', ['busybox']])
  assert.equal(pod.apps[0].state, 'created')
  assert.equal(pod.apps[0].image_id, id)
  assert.deepEqual(pod.apps[0].user_labels, {team: 'red'})
  assert.ok(Number.isInteger(pod.created_at) && Math.abs(pod.created_at - Date.now() / 1000) < 60)
  assert.equal(pod.started_at, undefined)
  assert.deepEqual(JSON.parse(await host.ok(['status', '--format=json-pretty', uuid])), pod)
})

test('a pod manifest of the caller is run as it is written', async () => {
  await using host = await aHost()
  const id = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const app = {app: {exec: ['/bin/sh', '-c', 'echo from the manifest; exit 4'], group: '0', user: '0'}, image: {id}, name: 'written'}
  const file = host.write('pod.json', JSON.stringify({acKind: 'PodManifest', acVersion: '0.8.11', apps: [app]}))

  const result = await host.rkt(['run', '--net=none', `--pod-manifest=${file}`])

  assert.equal(result.status, 4, result.stderr)
  assert.match(result.stdout, /written\[\d+\]: from the manifest/)
  assert.match(await host.refused(['run', `--pod-manifest=${host.write('bad.json', '{')}`]), /error unmarshaling pod manifest/)
  assert.match(await host.refused(['run', `--pod-manifest=${host.path('none.json')}`]), /error reading pod manifest/)
})

/** What an app finds around it, by the documents of rkt and of appc: variables, files about names, identity, handlers. */
import assert from 'node:assert/strict'
import {mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {addBusybox, aHost, buildImage, busybox, inApp, manifest, withoutLabels} from './harness/index.ts'

/** An image of busybox with this app section. */
async function imageOf(name: string, app: Record<string, unknown>, fill: (rootfs: string) => void = () => {}): Promise<string> {
  return await buildImage(manifest({app: {exec: ['/bin/true'], ...app}, name: `example.com/${name}`}), (rootfs) => {
    addBusybox(rootfs)
    fill(rootfs)
  })
}

test('variables, from the weakest to the strongest: the caller, the image, files, --set-env, --environment', async () => {
  await using host = await aHost()
  const layers = ['CALLER', 'IMAGE', 'FILE', 'SET', 'APP']
  // V1 is set by the first layer alone, V2 by the first two, and so on.
  const variables = (layer: string) => layers.slice(layers.indexOf(layer)).map((_, at) => `V${layers.indexOf(layer) + at + 1}`)
  const image = await imageOf('layers', {environment: variables('IMAGE').map((name) => ({name, value: 'IMAGE'}))})
  const file = host.write(
    'variables',
    variables('FILE')
      .map((name) => `${name}=FILE\n`)
      .join(''),
  )
  const words = [
    'run',
    '--net=none',
    '--inherit-env',
    `--set-env-file=${file}`,
    ...variables('SET').map((name) => `--set-env=${name}=SET`),
    image,
    ...variables('APP').map((name) => `--environment=${name}=APP`),
    '--exec=/bin/sh',
    '--',
    '-c',
    'echo $V1 $V2 $V3 $V4 $V5',
  ]

  const answer = await host.ok(words, {env: Object.fromEntries(variables('CALLER').map((name) => [name, 'CALLER']))})

  assert.equal(withoutLabels(answer), 'CALLER IMAGE FILE SET APP\n')
})

test("an app's defaults stand behind what it sets, and its name and executor cannot be forged", async () => {
  await using host = await aHost()

  const answer = await inApp(
    host,
    'echo $HOME $USER $AC_APP_NAME $container',
    [],
    ['--name=named', '--environment=HOME=/own', '--environment=AC_APP_NAME=forged', '--environment=container=forged'],
  )

  assert.equal(answer, '/own root named rkt\n')
})

test('the caller lends an app none of its variables, signals that it ignores or descriptors', async () => {
  await using host = await aHost()

  const answer = await inApp(host, 'tr "\\0" "\\n" < /proc/self/environ; ls /proc/self/fd; readlink /proc/1/fd/* || echo closed')

  assert.doesNotMatch(answer, /RKT_|LISTEN|NOTIFY|NODE|PWD=\/work/)
  // 3 is the directory that ls reads.
  assert.match(answer, /^0\n1\n2\n3\n/m)
  assert.match(answer, /^closed$/m)
  assert.doesNotMatch(answer, /^\//m)
})

test('handlers run as root around the main process, in its root, environment and directory', async () => {
  await using host = await aHost()
  const record = (name: string) => ['/bin/sh', '-c', `echo ${name} $(id -u):$(id -g) $(pwd) $COLOUR $AC_APP_NAME | tee -a /record`]
  const image = await imageOf(
    'handlers',
    {
      environment: [{name: 'COLOUR', value: 'blue'}],
      eventHandlers: [
        {exec: record('before'), name: 'pre-start'},
        {exec: ['/bin/cat', '/record'], name: 'post-stop'},
      ],
      exec: ['/bin/sh', '-c', 'echo main $(id -u):$(id -g) $(pwd) after $(cat /record)'],
      group: '1001',
      user: 'app',
      workingDirectory: '/work',
    },
    (rootfs) => mkdirSync(join(rootfs, 'work')),
  )

  const answer = withoutLabels(await host.ok(['run', '--net=none', image]))

  const before = 'before 0:0 /work blue handlers'
  assert.equal(answer, `${before}\nmain 1000:1001 /work after ${before}\n${before}\n`)
})

test('a pre-start handler that fails keeps the main process from starting and gives the pod its status; post-stop still runs', async () => {
  await using host = await aHost()
  const image = await imageOf('failing', {
    eventHandlers: [
      {exec: ['/bin/sh', '-c', 'exit 11'], name: 'pre-start'},
      {exec: ['/bin/echo', 'cleaned up'], name: 'post-stop'},
    ],
    exec: ['/bin/echo', 'started'],
  })

  const {status, stdout} = await host.rkt(['run', '--net=none', image])

  assert.equal(status, 11)
  assert.equal(withoutLabels(stdout), 'cleaned up\n')
})

test('a handler of another name is refused', async () => {
  await using host = await aHost()
  const app = {app: {eventHandlers: [{exec: ['/bin/true'], name: 'on-fire'}], exec: ['/bin/true'], group: '0', user: '0'}}
  const id = (await host.ok(['fetch', '--full', await busybox()])).trim()
  const file = host.write(
    'pod.json',
    JSON.stringify({acKind: 'PodManifest', acVersion: '0.8.11', apps: [{...app, image: {id}, name: 'odd'}]}),
  )

  assert.match(await host.refused(['run', '--net=none', `--pod-manifest=${file}`]), /on-fire/)
})

test('a read-only root leaves volumes, /dev, /tmp volumes and handlers what they need', async () => {
  await using host = await aHost()

  const answer = await inApp(
    host,
    'for f in /new /etc/new /tmp/new /volume/new /dev/shm/new; do (echo x > $f) 2>/dev/null && echo $f; done; true',
    ['--volume=data,kind=empty'],
    ['--readonly-rootfs=true', '--mount=volume=data,target=/volume'],
  )

  assert.equal(answer, '/volume/new\n/dev/shm/new\n')
})

test('oom score and no-new-privileges are as given', async () => {
  await using host = await aHost()
  const image = await imageOf('privileges', {isolators: [{name: 'os/linux/no-new-privileges', value: true}]})
  const read = 'cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status'
  const [own = '0'] = readFileSync('/proc/self/oom_score_adj', 'utf8').split('\n')

  assert.equal(await inApp(host, read, [], ['--oom-score-adj=333'], image), '333\nNoNewPrivs:\t1\n')
  assert.equal(await inApp(host, read, [], ['--oom-score-adjust=444'], await busybox()), '444\nNoNewPrivs:\t0\n')
  assert.equal(await inApp(host, read), `${own}\nNoNewPrivs:\t0\n`)
})

test('annotations and labels of an app are in the manifest of its pod', async () => {
  await using host = await aHost()
  const saved = host.path('uuid')

  await host.ok([
    'run',
    '--net=none',
    `--uuid-file-save=${saved}`,
    await busybox(),
    '--annotation=example.com/kind=c',
    '--user-annotation=app-note=d',
    '--user-label=app-label=e',
    '--exec=/bin/true',
  ])

  const pod = JSON.parse(await host.ok(['cat-manifest', readFileSync(saved, 'utf8')]))
  assert.deepEqual(pod.apps[0].app.userAnnotations, {'app-note': 'd'})
  assert.deepEqual(pod.apps[0].app.userLabels, {'app-label': 'e'})
  assert.ok(pod.apps[0].annotations.some(({name, value}: {name: string; value: string}) => name === 'example.com/kind' && value === 'c'))
})

test("/etc/hosts of an image is left alone, and rkt's own is shown only where the image has none", async () => {
  await using host = await aHost()
  const image = await imageOf('hosts', {}, (rootfs) => writeFileSync(join(rootfs, 'etc/hosts'), '127.0.0.1 own\n'))

  assert.equal(await inApp(host, 'cat /etc/hosts', ['--hostname=named'], [], image), '127.0.0.1 own\n')
  assert.match(await inApp(host, 'cat /etc/hosts', ['--hosts-entry=10.0.0.1=db'], [], image), /^10\.0\.0\.1 db$/m)
})

test('without name servers there is no /etc/resolv.conf, and that of an image stays', async () => {
  await using host = await aHost()
  const image = await imageOf('resolv', {}, (rootfs) => writeFileSync(join(rootfs, 'etc/resolv.conf'), 'nameserver 1.1.1.1\n'))

  assert.match(await inApp(host, 'ls /etc/resolv.conf 2>&1; true'), /No such file/)
  assert.equal(await inApp(host, 'cat /etc/resolv.conf', [], [], image), 'nameserver 1.1.1.1\n')
  assert.equal(await inApp(host, 'cat /etc/resolv.conf', ['--dns=none'], [], image), 'nameserver 1.1.1.1\n')
  assert.match(await inApp(host, 'cat /etc/resolv.conf', ['--dns=9.9.9.9'], [], image), /^nameserver 9\.9\.9\.9$/m)
})

test('a program is called by the name it was asked for, also when that is a link', async () => {
  await using host = await aHost()
  const image = await imageOf('links', {exec: ['/tool-link', 'argument']}, (rootfs) => {
    writeFileSync(join(rootfs, 'tool'), '#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline; echo\n', {mode: 0o755})
    symlinkSync('/tool', join(rootfs, 'tool-link'))
  })

  assert.equal(withoutLabels(await host.ok(['run', '--net=none', image])), '/bin/sh /tool-link argument \n')
})

test("apps of a pod share everything that is the pod's and see nothing of each other's root", async () => {
  await using host = await aHost()
  const image = await busybox()
  const saved = host.path('uuid')
  const facts = 'for n in pid ipc uts net cgroup mnt; do echo $AC_APP_NAME $n $(readlink /proc/self/ns/$n); done'

  const answer = withoutLabels(
    await host
      .ok([
        'run',
        '--net=none',
        `--uuid-file-save=${saved}`,
        ...[image, '--name=one', '--exec=/bin/sh', '--', '-c', `${facts}; touch /of-one; echo shared > /dev/shm/file; sleep 1`, '---'],
        ...[
          image,
          '--name=two',
          '--exec=/bin/sh',
          '--',
          '-c',
          `until [ -s /dev/shm/file ]; do sleep 0.05; done; ${facts}; ls /of-one 2>&1`,
          '---',
        ],
        ...[image, '--name=three', '--exec=/bin/sh', '--', '-c', 'ps | grep -c "[s]leep"; true'],
      ])
      .catch((error: Error) => error.message),
  )

  for (const name of ['pid', 'ipc', 'uts', 'net']) {
    const [one, two] = ['one', 'two'].map((app) => new RegExp(`^${app} ${name} (.*)$`, 'm').exec(answer)?.[1])
    assert.ok(one !== undefined && one === two, `${name}: ${answer}`)
  }
  const [one, two] = ['one', 'two'].map((app) => new RegExp(`^${app} mnt (.*)$`, 'm').exec(answer)?.[1])
  assert.notEqual(one, two)
  assert.match(answer, /of-one: No such file/)
})

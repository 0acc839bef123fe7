/** Apps as services: readiness, sockets that wait for them, the journal; with systemd's own programs where there are some. */
import assert from 'node:assert/strict'
import {copyFileSync, existsSync, readFileSync} from 'node:fs'
import {connect} from 'node:net'
import {dirname, join} from 'node:path'
import {test} from 'node:test'
import {
  addBusybox,
  addWithLibraries,
  aHost,
  buildImage,
  compileProgram,
  eventually,
  manifest,
  program,
  Running,
  rktProgram,
} from './harness/index.ts'

const notifies = {name: 'appc.io/executor/supports-systemd-notify', value: 'true'}

/** An image of busybox, test/fixtures/programs/services.c and systemd's systemd-notify, systemd-cat. */
async function serviceImage(name: string, fields: Record<string, unknown>): Promise<string> {
  return await buildImage(manifest({name: `example.com/${name}`, ...fields}), (rootfs) => {
    addBusybox(rootfs)
    copyFileSync(compileProgram('services'), join(rootfs, 'bin/services'))
    for (const file of ['/usr/bin/systemd-notify', '/usr/bin/systemd-cat']) addWithLibraries(rootfs, file)
  })
}

/** An init system's end of NOTIFY_SOCKET: everything that it is told. */
async function notifySocket(path: string): Promise<Running> {
  const running = new Running(['socat', '-u', `UNIX-RECV:${path}`, 'STDOUT'])
  await eventually(() => existsSync(path), 'the socket')
  return running
}

const shell = (script: string): string[] => ['--exec=/bin/sh', '--', '-c', script]

test('a pod is ready when its apps run and those that tell have told; status text is passed on', async () => {
  await using host = await aHost()
  const path = host.path('notify')
  await using told = await notifySocket(path)
  const image = await serviceImage('teller', {annotations: [notifies]})
  const script = 'until [ -e /dev/shm/go ]; do sleep 0.05; done; systemd-notify --status=almost; systemd-notify --ready; sleep 1000'

  const pod = await host.pod(['--net=none', image, ...shell(script)], {env: {NOTIFY_SOCKET: path}, ready: false})
  const readiness = join(pod.dir, 'stage1/rootfs/rkt/supervisor-status')
  await eventually(async () => (await host.rkt(['enter', pod.uuid, '/bin/true'])).status === 0, 'the app to run')
  assert.match(await host.refused(['status', '--wait-ready=200ms', pod.uuid]), /deadline exceeded/)
  assert.doesNotMatch(told.stdout, /READY/)
  assert.ok(!existsSync(readiness))

  await pod.enter('/bin/touch', '/dev/shm/go')

  await told.says(/STATUS=teller: almost/)
  await told.says(/READY=1/)
  await host.ok(['status', '--wait-ready=5s', pod.uuid])
  await pod.stop()
  await told.says(/STOPPING=1/)
  assert.equal(told.stdout.match(/READY=1/g)?.length, 1)
})

test('an app that does not tell is ready when it runs, and has no NOTIFY_SOCKET', async () => {
  await using host = await aHost()
  const path = host.path('notify')
  await using told = await notifySocket(path)

  const pod = await host.pod(['--net=none', await program('services'), ...shell('echo "socket: $NOTIFY_SOCKET"; sleep 1000')], {
    env: {NOTIFY_SOCKET: path},
  })

  await told.says(/READY=1/)
  await pod.process.says(/socket: $/m)
  await pod.stop()
})

test('no app speaks for another, not even through its root', async () => {
  await using host = await aHost()
  const silent = await serviceImage('silent', {annotations: [notifies]})
  const liar = await program('services')
  const script =
    'until P=$(pidof sleep); do sleep 0.05; done; NOTIFY_SOCKET=/proc/$P/root/run/systemd/notify services speak "READY=1\nMAINPID=$$"; echo spoken $?; sleep 1000'

  const pod = await host.pod(['--net=none', silent, '--exec=/bin/sleep', '--', '1000', '---', liar, '--name=liar', ...shell(script)], {
    ready: false,
  })
  // 0: the liar has reached the socket. 99: the kernel has kept it away already.
  await pod.process.says(/liar\[\d+\]: spoken (0|99)$/m)

  assert.match(await host.refused(['status', '--wait-ready=300ms', pod.uuid]), /deadline exceeded/)
  await pod.stop()
})

test('an app hands its place over to another of its processes, whose status becomes its own', async () => {
  await using host = await aHost()
  const image = await serviceImage('handover', {annotations: [notifies]})
  const pod = await host.pod(['--net=none', image, '--exec=/bin/services', '--', 'handover'])
  const [, child] = await pod.process.says(/handed over to (\d+)/)
  await eventually(async () => !/services handover\n.*services handover/s.test(await pod.enter('/bin/ps')), 'the first to end')

  assert.equal((await pod.status()).state, 'running')
  // The pod ends with the child, perhaps before kill(1) has.
  await host.rkt(['enter', pod.uuid, '/bin/kill', '-USR1', child ?? ''])

  assert.equal((await pod.process.exit).status, 7)
})

const listens = (port: number, name: string, protocol = 'tcp') => ({name, port, protocol, socketActivated: true})

/** Asks a port of this network namespace, and answers what it said. */
async function ask(port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1')
    socket.setEncoding('utf8')
    socket.on('data', (text) => {
      answer += text
    })
    socket.on('error', reject).on('end', () => resolve(answer))
  })
}

/** The same, as soon as somebody listens there. */
async function askOnceOpen(port: number): Promise<string> {
  const answer = await eventually(
    async () =>
      await ask(port).then(
        (text) => ({text}),
        () => undefined,
      ),
    `port ${port}`,
  )
  return answer.text
}

test('sockets that rkt was given reach the apps by the ports that they have on the host', async () => {
  await using host = await aHost()
  const image = await serviceImage('activated', {
    app: {exec: ['/bin/services', 'accept'], ports: [listens(80, 'www'), listens(81, 'admin')]},
  })
  const words = ['run', '--port=www:18080', '--port=admin:18081', image]
  const listen = ['--listen=18079', '--listen=18081', '--listen=18080']

  await using activation = new Running(['systemd-socket-activate', ...listen, rktProgram, ...host.globals, ...words])
  const answers = [askOnceOpen(18080), askOnceOpen(18081)]

  assert.deepEqual(await Promise.all(answers), ['served www\n', 'served admin\n'])
  const ended = await activation.exit
  assert.match(ended.stdout, /: 2 sockets for me: www:admin$/m)
  assert.match(ended.stderr, /no app has a socket-activated port 18079\/tcp/)
})

test('without sockets to give, an app gets one in the network of its pod, and without --port the number is that of its manifest', async () => {
  await using host = await aHost()
  const image = await serviceImage('listening', {
    app: {exec: ['/bin/services', 'accept'], ports: [listens(18090, 'www'), listens(18091, 'dns', 'udp')]},
  })
  const process = host.start(['run', '--net=host', image])
  await process.says(/: 2 sockets for me: www:dns$/m)

  assert.equal(await ask(18090), 'served www\n')
  const ended = await process.exit
  assert.equal(ended.status, 0, ended.stderr)
  assert.match(ended.stderr, /warning: no --port option for socket-activated port "www", assuming port 18090 as specified in the manifest/)
})

test('what apps send to the journal is in their logs, in order, by syslog, the native protocol and streams', async () => {
  await using host = await aHost()
  const long = 'x'.repeat(5000)
  const script = [
    'logger -t by-hand -p user.err wrong',
    'services message native',
    `services message ${long}`,
    'services stream streamed',
    'echo one | systemd-cat --identifier=cat',
    'systemd-cat --identifier=cat echo two',
    'echo stdout',
  ].join(' && ')
  const saved = host.path('uuid')
  const image = await serviceImage('journal', {})

  const stdout = await host.ok(['run', '--net=none', `--uuid-file-save=${saved}`, image, ...shell(script)])

  assert.doesNotMatch(stdout, /wrong|native/, 'the console shows standard output and error alone')
  const log = readFileSync(join(host.dataDir, 'pods/run', readFileSync(saved, 'utf8'), 'logs/journal.log'), 'utf8')
  const lines = log
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ').slice(1).join(' '))
  for (const line of [
    'stderr F by-hand: wrong',
    'stderr F tool: native',
    `stderr F tool: ${long}`,
    'stderr F tool: streamed',
    'stdout F cat: one',
    'stdout F cat: two',
    'stdout F stdout',
  ])
    assert.ok(lines.includes(line), `${line}: ${log.slice(0, 2000)}`)
})

test('a journal that is flooded with nonsense harms neither the pod nor the other lines', async () => {
  await using host = await aHost()
  const script = [
    'for i in $(seq 200); do head -c 2000 /dev/urandom | logger -t noise 2>/dev/null; done',
    'logger last',
    'echo survived',
  ].join('; ')
  const saved = host.path('uuid')

  await host.ok(['run', '--net=none', `--uuid-file-save=${saved}`, await program('services'), ...shell(script)])

  const log = readFileSync(join(host.dataDir, 'pods/run', readFileSync(saved, 'utf8'), 'logs/services.log'), 'latin1')
  assert.match(log, /stdout F root: last$/m)
  assert.match(log, /stdout F survived$/m)
})

test('a pod of forty apps has room for all of their descriptors', async () => {
  await using host = await aHost()
  const image = await program('services')
  const apps = Array.from({length: 40}, (_, at) => [image, `--name=app-${at}`, ...shell(at === 39 ? 'sleep 1000' : 'exit 0'), '---'])
  const pod = await host.pod(['--net=none', ...apps.flat()])

  assert.equal((await host.ok(['enter', '--app=app-39', pod.uuid, '/bin/echo', 'inside'])).trim(), 'inside')
  await pod.stop()
})

/** On version 2 alone the tests share their cgroup: then that of a pod is beside it (docs/cgroups.md). */
const above = existsSync('/sys/fs/cgroup/cgroup.controllers') ? dirname : (path: string) => path

test('the cgroup of a pod is below that of its caller, as a unit of systemd wants it, and the pod directory says where', async () => {
  await using host = await aHost()
  const pod = await host.pod(['--net=none', await program('services'), '--exec=/bin/sleep', '--', '1000'])
  const scope = `machine-rkt\\x2d${pod.uuid.replaceAll('-', '\\x2d')}.scope`
  const cgroupsOf = (pid: number | 'self') =>
    Object.fromEntries(
      readFileSync(`/proc/${pid}/cgroup`, 'utf8')
        .trim()
        .split('\n')
        .map((line) => [line.split(':').slice(0, 2).join(':'), line.split(':').slice(2).join(':')]),
    )
  const [own, caller] = [cgroupsOf(await pod.initPid()), cgroupsOf('self')]
  const below = Object.keys(own).filter((name) => own[name]?.startsWith(join(above(caller[name] ?? ''), scope)))

  assert.ok(below.length > 0, JSON.stringify({caller, own}))
  const subcgroup = readFileSync(join(pod.dir, 'subcgroup'), 'utf8')
  assert.ok(
    below.some((name) => own[name]?.startsWith(subcgroup)),
    `${subcgroup} ${JSON.stringify(own)}`,
  )
  assert.equal(readFileSync(join(pod.dir, 'pid'), 'utf8').trim(), String(await pod.initPid()))
  await pod.stop()
})

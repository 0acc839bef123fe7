/** Ports of pods that the host offers: to other hosts behind a router, to itself, and to its pods. */
import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {copyFileSync} from 'node:fs'
import {test} from 'node:test'
import {
  addBusybox,
  aHost,
  answers,
  ask,
  buildImage,
  compileProgram,
  echo,
  eventually,
  type Host,
  Lan,
  manifest,
  type Namespace,
  Running,
  rktProgram,
  webServer,
} from './harness/index.ts'

async function lanHost(lan: Lan): Promise<Host> {
  const host = await aHost()
  host.within = lan.host.within
  return host
}

test('a port is reached from outside, from the host by every address, from other pods and from its own', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  const pod = await host.pod(['--port=http:8080', await webServer()])
  const address = (await pod.status()).networks?.replace('default:ip4=', '') ?? ''
  await eventually(() => answers(lan.client, '192.0.2.2:8080'), 'the server to answer')

  // The server sees who asks, not the host.
  assert.equal(ask(lan.client, '192.0.2.2:8080'), '198.51.100.2')
  assert.notEqual(ask(lan.host, '127.0.0.1:8080'), '')
  assert.notEqual(ask(lan.host, '192.0.2.2:8080'), '')
  assert.notEqual(ask(lan.host, '172.16.28.1:8080'), '')
  assert.notEqual(ask(lan.host, '[::1]:8080'), '')
  assert.notEqual(ask(lan.router, '[fd00:2::2]:8080'), '')
  const fromPod = ['/usr/bin/curl', '-sSf', '--max-time', '5', 'http://192.0.2.2:8080/cgi-bin/who']
  assert.notEqual(await pod.enter(...fromPod), '')
  const other = await host.ok(['run', await webServer(), `--exec=${fromPod[0]}`, '--', ...fromPod.slice(1)])
  assert.match(other, /\d+\.\d+\.\d+\.\d+$/m)
  assert.equal(ask(lan.host, `${address}:80`), '172.16.28.1')

  await pod.stop()
  assert.ok(!answers(lan.host, '127.0.0.1:8080') && !answers(lan.host, '[::1]:8080') && !answers(lan.client, '192.0.2.2:8080'))
  assert.equal(lan.host.run('nft list ruleset'), '')
})

test('a pod of the default network talks to the world by the address of its host, one of default-restricted does not', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  await using client = await aHost()
  client.within = lan.client.within
  const server = await client.pod(['--net=host', await webServer()])
  await eventually(() => answers(lan.client, '127.0.0.1:80'), 'the server to answer')
  const words = [await webServer(), '--exec=/usr/bin/curl', '--', '-sSf', '--max-time', '3', 'http://198.51.100.2/cgi-bin/who']

  assert.match(await host.ok(['run', ...words]), /: 192\.0\.2\.2$/m)
  assert.notEqual((await host.rkt(['run', '--net=default-restricted', ...words])).status, 0)
  await server.stop()
})

test('a port on one address of the host is reached there only', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  await host.pod(['--port=http:192.0.2.2:8080', await webServer()])
  await eventually(() => answers(lan.client, '192.0.2.2:8080'), 'the server to answer')

  assert.ok(!answers(lan.host, '127.0.0.1:8080'))
  assert.ok(!answers(lan.host, '[::1]:8080'))
  // The other address of the host is free for somebody else.
  const second = await host.pod(['--port=http:127.0.0.1:8080', await webServer()])
  await eventually(() => answers(lan.host, '127.0.0.1:8080'), 'the other server to answer')
  await second.stop()
})

test('a range of ports, datagrams too, by both families', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  await host.pod(['--port=http:8080', '--port=echo:6000', await webServer()])
  await eventually(() => answers(lan.host, '127.0.0.1:8080'), 'the server to answer')

  for (const port of [6000, 6001, 6002]) assert.equal(echo(lan.client, `192.0.2.2:${port}`), 'hello\n')
  assert.equal(echo(lan.host, '127.0.0.1:6001'), 'hello\n')
  assert.equal(echo(lan.host, '::1:6002'), 'hello\n')
  assert.throws(() => echo(lan.client, '192.0.2.2:6003'))
})

const SCTP = 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)'
const noSctp = spawnSync('python3', ['-c', SCTP]).status === 0 ? false : 'the kernel has no SCTP'

test('a port of SCTP is reached from outside and from the host', {skip: noSctp}, async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  const app = {exec: ['/bin/sleep', '1000'], ports: [{name: 'signals', port: 5000, protocol: 'sctp'}]}
  const image = await buildImage(manifest({app, name: 'example.com/signals'}), addBusybox)
  const pod = await host.pod(['--port=signals:6000', image])
  const serve = `${SCTP}; s.bind(('', 5000)); s.listen(); print('listens', flush=True)
while True: c, (host, _) = s.accept(); c.send(host.encode()); c.close()`
  await using server = new Running(['nsenter', `--net=/proc/${await pod.initPid()}/ns/net`, 'python3', '-c', serve])
  await server.says(/listens/)
  // An address of its own: SCTP would name all of them to the other side.
  const asks = (from: Namespace, own: string) =>
    from
      .run(`python3 -c "${SCTP}; s.settimeout(3); s.bind(('${own}', 0)); s.connect(('192.0.2.2', 6000)); print(s.recv(99).decode())"`)
      .trim()
  assert.equal(asks(lan.client, '198.51.100.2'), '198.51.100.2')
  assert.notEqual(asks(lan.host, '192.0.2.2'), '')
})

test('a port whose socket rkt was given is not forwarded: its connections come by the socket, and by it alone', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  const port = (number: number, name: string) => ({name, port: number, protocol: 'tcp', socketActivated: true})
  const app = {exec: ['/bin/services', 'accept'], ports: [port(80, 'www'), port(81, 'admin')]}
  const image = await buildImage(manifest({app, name: 'example.com/activated'}), (rootfs) => {
    addBusybox(rootfs)
    copyFileSync(compileProgram('services'), `${rootfs}/bin/services`)
  })
  const words = [rktProgram, ...host.globals, 'run', '--port=www:8080', '--port=admin:8081', image]
  const say = (where: string) => {
    try {
      return lan.client.run(`timeout 5 cat < /dev/tcp/${where}`, 'bash')
    } catch {
      return null
    }
  }

  await using activation = new Running([...host.within, 'systemd-socket-activate', '--listen=8080', ...words])
  await eventually(() => lan.host.run('ss -ltn').includes(':8080'), 'the socket to listen')
  // The first connection starts the pod, and waits for it in the socket.
  await using first = new Running([...lan.client.within, 'bash', '-c', 'cat < /dev/tcp/192.0.2.2/8080'])
  const rules = () => lan.host.run('nft list ruleset')
  await eventually(() => /\btcp \. 8081\b/.test(rules()), 'the other port to be forwarded')

  assert.doesNotMatch(rules(), /\btcp \. 8080\b/)
  assert.equal((await first.exit).stdout, 'served www\n')
  assert.equal(await eventually(() => say('192.0.2.2/8081'), 'the other port to answer'), 'served admin\n')
  const ended = await activation.exit
  assert.equal(ended.status, 0, ended.stderr)
})

test('a port that somebody has is refused, and who it is', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  const image = await webServer()
  const pod = await host.pod(['--port=http:8080', image])

  const message = await host.refused(['run', '--port=http:192.0.2.2:8080', image])
  assert.match(
    message,
    new RegExp(`failed to setup network: cannot forward ports: port tcp-192\\.0\\.2\\.2:8080 is taken by pod ${pod.uuid}$`, 'm'),
  )

  await using listener = await aHost()
  listener.within = lan.host.within
  const running = listener.start([
    'run',
    '--net=host',
    '--insecure-options=all',
    image,
    '--exec=/bin/httpd',
    '--',
    '-f',
    '-p',
    '8081',
    '-h',
    '/',
  ])
  await eventually(() => lan.host.run('ss -ltn').includes(':8081'), `the host's own server to listen: ${running.stderr}`)
  assert.match(await host.refused(['run', '--port=http:8081', image]), /port tcp-0\.0\.0\.0:8081 is taken by httpd \(pid \d+\)$/m)

  // What was refused holds nothing, and what ends is free again.
  await pod.stop()
  await (await host.pod(['--port=http:8080', image])).stop()
})

test('the port of a pod that was killed goes to the next that asks, and gc takes its rules away', async () => {
  using lan = new Lan()
  await using host = await lanHost(lan)
  const image = await webServer()
  const first = await host.pod(['--port=http:8080', image])
  first.process.kill('SIGKILL')
  await first.process.exit

  const second = await host.pod(['--port=http:8080', image])
  await eventually(() => answers(lan.client, '192.0.2.2:8080'), 'the second server to answer')
  second.process.kill('SIGKILL')
  await second.process.exit
  assert.notEqual(lan.host.run('nft list ruleset'), '')

  await host.ok(['gc', '--grace-period=0s'])
  assert.equal(lan.host.run('nft list ruleset'), '')
  assert.doesNotMatch(lan.host.run('ip -o link'), /veth/)
  await (await host.pod(['--port=http:8080', image])).stop()
})

test('ports that no app has, or that need a network, are refused', async () => {
  await using host = await aHost()
  const image = await webServer()

  assert.match(await host.refused(['run', '--port=nosuch:80', image]), /port name "nosuch" could not be found in any apps/)
  assert.match(
    await host.refused(['prepare', '--port=http:80', '--port=http:127.0.0.1:80', image]),
    /port tcp-127\.0\.0\.1:80 already mapped to pod port 80/,
  )
  const uuid = (await host.ok(['prepare', '--quiet', '--port=http:80', image])).trim()
  assert.match(await host.refused(['run-prepared', '--net=none', uuid]), /failed to setup network: no networks found/)
})

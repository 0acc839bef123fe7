/** The isolator resource/network-bandwidth: how fast a pod talks to the world, and the world to it. */
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {
  addNetwork,
  addScript,
  aHost,
  buildImage,
  busybox,
  eventually,
  type Host,
  manifest,
  Namespace,
  oldResult,
  Running,
} from './harness/index.ts'

const limit = 2_000_000
const bytes = 6_000_000

/** An image whose app may send, and be sent, so many bytes a second. */
async function limited(host: Host): Promise<string> {
  const isolators = [{name: 'resource/network-bandwidth', value: {default: true, limit: String(limit)}}]
  const app = {exec: ['/bin/sleep', '1000'], isolators}
  const image = await buildImage(manifest({app, dependencies: [{imageName: 'example.com/busybox'}], name: 'example.com/limited'}), () => {})
  await host.ok(['fetch', await busybox()])
  return (await host.ok(['fetch', image])).trim()
}

test('a pod sends and is sent as much as its isolator says, and leaves nothing', async () => {
  using namespace = new Namespace()
  await using host = await aHost()
  host.within = namespace.within
  const image = await limited(host)
  const links = () => namespace.run('ip -o link').replace(/^\d+: /gm, '')
  const before = links()
  const serve = (port: number, talk: string) => {
    const program = `import socket\nclient = socket.create_server(('', ${port})).accept()[0]\n${talk}`
    return new Running([...namespace.within, 'python3', '-c', program])
  }
  await using sending = serve(7, `client.sendall(bytes(${bytes}))`)
  await using receiving = serve(8, "print(sum(map(len, iter(lambda: client.recv(65536), b''))))")
  await eventually(() => namespace.run('ss -ltnH').trim().split('\n').length === 2, 'the servers to listen')

  const began = performance.now()
  const script = `nc 172.16.28.1 7 </dev/null | wc -c & head -c ${bytes} /dev/zero | nc 172.16.28.1 8; wait; sleep 1000`
  const pod = await host.pod([image, '--exec=/bin/sh', '--', '-c', script])
  await pod.process.says(new RegExp(`: ${bytes}\\b`), 60_000)
  await Promise.all([sending.exit, receiving.exit])
  const seconds = (performance.now() - began) / 1000

  assert.equal(receiving.stdout.trim(), String(bytes))
  // What may go at once, and what waits in the kernel, is less than half a second's.
  assert.ok(seconds > bytes / limit - 0.5, `${bytes} bytes in ${seconds} s`)
  const rates = namespace.run('tc qdisc show').match(/qdisc tbf .* dev (veth|bwp)\S+ root .* rate 16Mbit burst \S+ lat 25(\.\d+)?ms/g)
  assert.equal(rates?.length, 2, namespace.run('tc qdisc show'))
  await pod.stop()
  assert.doesNotMatch(links(), /ifb|bwp/)
  await eventually(() => links() === before, 'the link of the pod to go')
})

test('the isolator is left out with a warning where there is nothing that can be limited', async () => {
  await using host = await aHost()
  const image = await limited(host)
  addNetwork(host, 'mine.conf', {name: 'mine', type: 'mine-plugin'})
  addScript(host, 'mine-plugin', `echo '${oldResult('10.1.0.2/24')}'`)
  const ipam = {subnet: '10.92.0.0/24', type: 'host-local'}
  const rates = {egressBurst: 8_000_000, egressRate: 80_000_000}
  addNetwork(host, 'own.conflist', {
    cniVersion: '1.0.0',
    name: 'own',
    plugins: [
      {ipam, type: 'ptp'},
      {...rates, type: 'bandwidth'},
    ],
  })
  const told = async (net: string) => {
    const {status, stderr} = await host.rkt(['run', `--net=${net}`, image, '--exec=/bin/true'])
    assert.equal(status, 0, stderr)
    return stderr
  }

  assert.match(await told('host'), /warning: resource\/network-bandwidth isolator set but the pod has the network of the host, skipping$/m)
  assert.match(
    await told('mine'),
    /Warning: network mine: "eth0" is no veth, and only those can be limited: resource\/network-bandwidth is left out$/m,
  )
  assert.match(await told('own'), /Warning: network own has its own limit, resource\/network-bandwidth is left out$/m)
  assert.doesNotMatch(await told('none'), /network-bandwidth/)
})

test("a network's own plugin with the capability limits the pod", async () => {
  using namespace = new Namespace()
  await using host = await aHost()
  host.within = namespace.within
  const ipam = {subnet: '10.92.0.0/24', type: 'host-local'}
  const plugins = [
    {ipam, type: 'ptp'},
    {capabilities: {bandwidth: true}, type: 'bandwidth'},
  ]
  addNetwork(host, 'able.conflist', {cniVersion: '1.0.0', name: 'able', plugins})

  const pod = await host.pod(['--net=able', await limited(host)])

  assert.equal(namespace.run('tc qdisc show').match(/qdisc tbf .* rate 16Mbit /g)?.length, 2)
  await pod.stop()
  assert.doesNotMatch(namespace.run('ip -o link'), /bwp/)
})

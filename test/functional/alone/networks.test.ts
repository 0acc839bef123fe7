/** That pods leave nothing of their networks, however they end: links, rules, addresses, names of namespaces. */
import assert from 'node:assert/strict'
import {closeSync, existsSync, openSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {isDeepStrictEqual} from 'node:util'
import {aHost, answers, busybox, eventually, type Host, Lan, Namespace, webServer} from '../harness/index.ts'

const rounds = process.env.RKT_TEST_LONG ? 100 : 25

const names = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : [])

/** All that pods take of a host's network. */
const traces = (host: Namespace) => ({
  addresses: names('/var/lib/cni/networks/default').filter((name) => /^\d/.test(name)),
  links: host.run('ip -o link').replace(/^\d+: /gm, ''),
  namespaces: names('/run/netns').filter((name) => name.startsWith('cni-')),
  rules: host.run('nft list ruleset'),
  routes: host.run('ip route; ip -6 route'),
})

/** That all is as before: the kernel alone takes a moment more, for links and the routes by them. */
async function assertAsBefore(namespace: Namespace, before: ReturnType<typeof traces>, message?: string): Promise<void> {
  const {links, routes, ...atOnce} = before
  const {links: linksNow, routes: routesNow, ...now} = traces(namespace)
  assert.deepEqual(now, atOnce, message)
  const differ = () => `links and routes as before, ${message ?? ''}: ${links}${routes}, not ${linksNow}${routesNow}`
  await eventually(() => isDeepStrictEqual(traces(namespace), before), differ)
}

async function hostIn(namespace: Namespace): Promise<Host> {
  const host = await aHost()
  host.within = namespace.within
  return host
}

test('a hundred pods at once have a hundred addresses, and leave nothing', {timeout: 300_000}, async () => {
  using namespace = new Namespace()
  await using host = await hostIn(namespace)
  const image = (await host.ok(['fetch', await busybox()])).trim()
  const before = traces(namespace)
  const pods = Array.from({length: 100}, () => host.start(['run', image, '--exec=/bin/sleep', '--', '1000'], {timeoutMs: 280_000}))

  const listed = await eventually(
    async () => {
      const ended = await Promise.all(pods.filter((pod) => pod.ended).map((pod) => pod.exit))
      assert.deepEqual(ended, [])
      const lines = (await host.ok(['list', '--no-legend'])).match(/running.*default:ip4=\S+/g) ?? []
      return lines.length === 100 && lines
    },
    'a hundred pods to run',
    240_000,
  )

  assert.equal(new Set(listed.map((line) => line.replace(/.*ip4=/, ''))).size, 100)
  assert.equal(traces(namespace).addresses.length, 100)
  for (const pod of pods) pod.kill('SIGTERM')
  const ends = await Promise.all(pods.map((pod) => pod.exit))
  assert.deepEqual(
    ends.filter(({status, stderr}) => status !== 0 || stderr !== ''),
    [],
  )
  await assertAsBefore(namespace, before)
})

/** What the server at the address says, if there is one. */
const word = (namespace: Namespace, address: string) => {
  try {
    return namespace.run(`exec 3<>/dev/tcp/${address}/7; timeout 5 head -n1 <&3`, 'bash').trim()
  } catch {
    return null
  }
}

/** Reaches its host, then says a word to the first who asks. */
const speaker = (name: string): string[] => [
  '--exec=/bin/sh',
  '--',
  '-c',
  `ping -c1 -W5 172.16.28.1 >/dev/null || exit 1; echo ${name} | nc -l -p 7; exit 0`,
]

test('an address that goes from one pod to the next at once leads to the one that has it', {timeout: 200_000}, async () => {
  using namespace = new Namespace()
  await using host = await hostIn(namespace)
  const image = (await host.ok(['fetch', await busybox()])).trim()
  const before = traces(namespace)

  for (let pod = 0; pod < 20; pod++) {
    const rkt = host.start(['run', '--net=default:IP=172.16.28.200', image, ...speaker(`pod-${pod}`)])
    const said = await eventually(
      () => rkt.ended || word(namespace, '172.16.28.200'),
      () => `pod ${pod} to answer: ${rkt.stdout}${rkt.stderr}`,
    )
    assert.equal(said, `pod-${pod}`, rkt.stdout + rkt.stderr)
    assert.equal((await rkt.exit).status, 0, rkt.stderr)
  }

  await assertAsBefore(namespace, before)
})

test("a link of a pod whose namespace somebody keeps has no address, is in nobody's way, and is removed by gc", async () => {
  using namespace = new Namespace()
  await using host = await hostIn(namespace)
  const image = (await host.ok(['fetch', await busybox()])).trim()
  const before = traces(namespace)
  const words = ['--net=default:IP=172.16.28.201', image]
  const pod = await host.pod([...words, '--exec=/bin/sleep', '--', '1000'])
  const netns = openSync(readFileSync(join(pod.dir, 'netns'), 'utf8'), 'r')
  const inside = (line: string) => namespace.run(`nsenter --net=/proc/${process.pid}/fd/${netns} ${line}`)
  assert.match(inside('ip -o address show eth0'), /inet 172\.16\.28\.201\/24/)

  try {
    await pod.stop()

    assert.equal(inside('ip -o address show eth0'), '')
    assert.match(traces(namespace).links, new RegExp(`alias rkt id: "${pod.uuid}" if: "eth0" net: "default"`))
    const next = host.start(['run', ...words, ...speaker('next')])
    assert.equal(await eventually(() => next.ended || word(namespace, '172.16.28.201'), 'the next pod to answer'), 'next')
    assert.equal((await next.exit).status, 0, next.stderr)
    await host.ok(['gc', '--grace-period=0s'])
    await assertAsBefore(namespace, before)
    assert.doesNotMatch(inside('ip -o link'), /eth0/)
  } finally {
    closeSync(netns)
  }
})

test('kill -9 in any phase loses nothing for good: gc gives it back', {timeout: 300_000}, async () => {
  using namespace = new Namespace()
  await using host = await hostIn(namespace)
  const image = (await host.ok(['fetch', await busybox()])).trim()
  const started = performance.now()
  await host.ok(['run', image, '--exec=/bin/true'])
  const whole = performance.now() - started
  await host.ok(['gc', '--grace-period=0s'])
  const before = traces(namespace)

  for (let round = 0; round < rounds; round++) {
    const rkt = host.start(['run', image, '--exec=/bin/sleep', '--', '1000'])
    const delay = (whole * (0.3 + round / rounds)) | 0
    await sleep(delay)
    rkt.kill('SIGKILL')
    await rkt.exit

    const result = await host.rkt(['gc', '--grace-period=0s', '--expire-prepared=0s'])
    assert.equal(result.status, 0, result.stderr)
    assert.doesNotMatch(result.stderr, /networking:/, `killed after ${delay} ms`)
    assert.deepEqual(host.pods(), [])
    await assertAsBefore(namespace, before, `killed after ${delay} ms`)
  }
})

test('after a reboot gc says nothing, and the addresses are free', async () => {
  using namespace = new Namespace()
  await using host = await hostIn(namespace)
  const image = await busybox()
  const pod = await host.pod(['--net=default:IP=172.16.28.99', image, '--exec=/bin/sleep', '--', '1000'])
  pod.process.kill('SIGKILL')
  await pod.process.exit
  // What a reboot takes: links, rules, and all of /run.
  const {execFileSync} = await import('node:child_process')
  namespace.run('nft flush ruleset; for l in $(ls /sys/class/net | grep ^veth); do ip link delete $l; done')
  for (const name of names('/run/netns').filter((each) => each.startsWith('cni-')))
    execFileSync('sh', ['-c', `umount -l /run/netns/${name} 2>/dev/null; rm /run/netns/${name}`])

  const result = await host.rkt(['gc', '--debug', '--grace-period=0s'])

  assert.match(result.stderr, /networking: teardown - executing net-plugin ptp\n$/)
  assert.deepEqual(traces(namespace).addresses, [])
  await host.ok(['run', '--net=default:IP=172.16.28.99', image, '--exec=/bin/true'])
})

for (const iptables of ['iptables-nft', 'iptables-legacy']) {
  test(`where ${iptables} drops what is forwarded, as Docker has it, pods get through, and the rules are as before afterwards`, async () => {
    using lan = new Lan()
    await using host = await hostIn(lan.host)
    await using client = await hostIn(lan.client)
    await client.pod(['--net=host', await webServer()])
    await eventually(() => answers(lan.client, '127.0.0.1:80'), 'the server outside to answer')
    lan.host.run(`${iptables} -P FORWARD DROP; ${iptables} -A FORWARD -i docker0 -j ACCEPT`)
    const rules = () => lan.host.run(`${iptables}-save`).replace(/^#.*$|\[\d+:\d+\]/gm, '')
    const before = rules()

    const pod = await host.pod(['--port=http:8080', await webServer()])
    await eventually(() => answers(lan.client, '192.0.2.2:8080'), 'the pod to answer')
    assert.equal(await pod.enter('/usr/bin/curl', '-sSf', '--max-time', '5', 'http://198.51.100.2/cgi-bin/who'), '192.0.2.2\n')
    assert.notEqual(rules(), before)

    await pod.stop()
    assert.equal(rules(), before)
  })
}

test('a pod with a network of its own reaches the metadata service at the address of its gateway', async () => {
  using lan = new Lan()
  await using host = await hostIn(lan.host)
  const service = host.start(['metadata-service'])
  await eventually(
    () => /running/.test(service.stderr),
    () => `the service to run: ${service.stderr}`,
  )

  const pod = await host.pod(['--mds-register', await webServer()])

  const url = (await pod.enter('/bin/sh', '-c', 'echo $AC_METADATA_URL')).trim()
  assert.match(url, /^http:\/\/172\.16\.28\.1:18112\/[\da-f]{32}$/)
  const asked = ['/usr/bin/curl', '-sSf', '--max-time', '5', '-H', 'Metadata-Flavor: AppContainer', `${url}/acMetadata/v1/pod/uuid`]
  assert.equal(await pod.enter(...asked), pod.uuid)
  await pod.stop()
})

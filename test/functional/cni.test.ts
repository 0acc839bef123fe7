/**
 * The network plugins as programs: driven by libcni's own cnitool, mixed in chains with the plugins of the containernetworking project,
 * and called by hand. Hosts and pods are network namespaces.
 */
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {type TestContext, test} from 'node:test'
import {checkout, eventually, type Result, Running, runProgram} from './harness/index.ts'

const cnitool = join(checkout, '.cache/tools/cnitool')
const theirs = '/usr/lib/cni'
const names = [
  'bandwidth',
  'bridge',
  'firewall',
  'flannel',
  'host-local',
  'ipvlan',
  'loopback',
  'macvlan',
  'portmap',
  'ptp',
  'static',
  'tuning',
]
const noCnitool = existsSync(cnitool) ? false : 'cnitool is not built (npm run setup -- --test builds it where Go is installed)'
const noPlugins = existsSync(join(theirs, 'bridge')) ? false : 'containernetworking-plugins is not installed'
let counter = 0

/** A host and a pod as network namespaces, and the directories of a runtime. */
class Scene implements AsyncDisposable {
  readonly dir = mkdtempSync('/tmp/rkt-cni-')
  readonly host: string
  readonly pod: string

  private constructor() {
    const id = `${process.pid}-${counter++}`
    this.host = `host-${id}`
    this.pod = `pod-${id}`
  }

  static async open(): Promise<Scene> {
    const scene = new Scene()
    await sh(`ip netns add ${scene.host}; ip netns add ${scene.pod}; ip -n ${scene.host} link set lo up; ip -n ${scene.pod} link set lo up`)
    return scene
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await sh(`ip netns del ${this.host}; ip netns del ${this.pod}`)
    rmSync(this.dir, {recursive: true})
  }

  /** A directory with these of our plugins. */
  plugins(...kinds: readonly string[]): string {
    const directory = mkdtempSync(join(this.dir, 'plugins-'))
    for (const kind of kinds) symlinkSync(join(checkout, 'dist/stage1'), join(directory, kind))
    return directory
  }

  /** Address management by host-local with its reservations in this scene. */
  ipam(more: object = {subnet: '10.77.0.0/24'}): object {
    return {dataDir: join(this.dir, 'networks'), type: 'host-local', ...more}
  }

  reservations(): string[] {
    const directory = join(this.dir, 'networks/net')
    return existsSync(directory) ? readdirSync(directory).filter((name) => /^[\d.]+$/.test(name)) : []
  }

  /** Runs cnitool on the host with a chain of plugins. */
  async cnitool(verb: string, path: readonly string[], version: string, plugins: readonly object[], capabilities = {}): Promise<Result> {
    const confs = join(this.dir, 'net.d')
    mkdirSync(confs, {recursive: true})
    writeFileSync(join(confs, '10-net.conflist'), JSON.stringify({cniVersion: version, name: 'net', plugins}))
    const env = {CAP_ARGS: JSON.stringify(capabilities), CNI_PATH: path.join(':'), NETCONFPATH: confs}
    return await runProgram(['ip', 'netns', 'exec', this.host, cnitool, verb, 'net', `/run/netns/${this.pod}`], {env})
  }

  /** The same, which must succeed. */
  async ok(...args: Parameters<Scene['cnitool']>): Promise<string> {
    const {status, stderr, stdout} = await this.cnitool(...args)
    assert.equal(status, 0, `cnitool ${args[0]}: ${stdout}${stderr}`)
    return stdout
  }

  inHost(command: string): Promise<Result> {
    return runProgram(['ip', 'netns', 'exec', this.host, 'sh', '-c', command])
  }

  /** A server of the pod that greets on a port. */
  async greeter(port: number): Promise<Running> {
    const server = new Running(['ip', 'netns', 'exec', this.pod, 'busybox', 'nc', '-ll', '-p', String(port), '-e', '/bin/echo', 'hello'])
    for (let tries = 0; tries < 100; tries++) {
      const listening = await runProgram(['ip', 'netns', 'exec', this.pod, 'busybox', 'netstat', '-tln'])
      if (listening.stdout.includes(`:${port} `)) return server
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error('the pod does not listen')
  }

  async greeting(address: string, port: number): Promise<string> {
    return (await this.inHost(`busybox nc -w 3 ${address} ${port} < /dev/null`)).stdout.trim()
  }

  /** Links and rules of the host, but for what its bridges are. */
  async traces(): Promise<string> {
    return (await this.inHost('ip -o link | cut -d: -f2 | grep -v br7 | sort; nft list ruleset | grep -c rkt')).stdout
  }
}

async function sh(script: string): Promise<void> {
  const {status, stderr} = await runProgram(['sh', '-ec', script])
  assert.equal(status, 0, stderr)
}

interface CniResult {
  readonly cniVersion: string
  readonly interfaces: readonly {readonly name: string; readonly sandbox?: string}[]
  readonly ips: readonly {readonly address: string; readonly interface: number}[]
}

for (const version of ['0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
  test(`cnitool attaches, checks and detaches a chain of our plugins in version ${version}`, {skip: noCnitool}, async () => {
    await using scene = await Scene.open()
    const path = [scene.plugins(...names)]
    const chain = [
      {bridge: 'br7', ipam: scene.ipam(), ipMasq: true, isDefaultGateway: true, type: 'bridge'},
      {capabilities: {portMappings: true}, type: 'portmap'},
      ...(version === '0.3.1' ? [] : [{type: 'firewall'}]),
      {dataDir: join(scene.dir, 'tuning'), mtu: 1300, sysctl: {'net.ipv4.conf.IFNAME.arp_filter': '1'}, type: 'tuning'},
      {capabilities: {bandwidth: true}, type: 'bandwidth'},
    ]
    const capabilities = {
      bandwidth: {egressBurst: 8_000_000, egressRate: 80_000_000, ingressBurst: 8_000_000, ingressRate: 80_000_000},
      portMappings: [{containerPort: 80, hostPort: 8080, protocol: 'tcp'}],
    }
    const before = await scene.traces()
    if (version === '1.1.0') await scene.ok('status', path, version, chain)

    const result: CniResult = JSON.parse(await scene.ok('add', path, version, chain, capabilities))

    assert.equal(result.cniVersion, version)
    assert.equal(result.ips[0]?.address, '10.77.0.2/24')
    assert.equal(result.interfaces[result.ips[0]?.interface ?? 0]?.sandbox, `/run/netns/${scene.pod}`)
    await using _server = await scene.greeter(80)
    assert.equal(await scene.greeting('10.77.0.2', 80), 'hello')
    assert.equal(await scene.greeting('127.0.0.1', 8080), 'hello')
    if (version !== '0.3.1') await scene.ok('check', path, version, chain, capabilities)
    await scene.ok('del', path, version, chain, capabilities)
    assert.deepEqual(scene.reservations(), [])
    assert.equal(await scene.traces(), before)
  })
}

test('cnitool collects what no attachment has any more', {skip: noCnitool}, async () => {
  await using scene = await Scene.open()
  const path = [scene.plugins(...names)]
  const chain = [{ipam: scene.ipam(), ipMasq: true, type: 'ptp'}]
  await scene.ok('add', path, '1.1.0', chain)
  writeFileSync(join(scene.dir, 'networks/net/10.77.0.9'), 'gone\r\neth0')

  await scene.ok('gc', path, '1.1.0', chain)

  assert.equal(scene.reservations().includes('10.77.0.9'), false)
})

const mixtures: Readonly<Record<string, readonly [string[], (scene: Scene) => object[]]>> = {
  'their bridge with our host-local': [['host-local'], (scene) => [{bridge: 'br7', ipam: scene.ipam(), isGateway: true, type: 'bridge'}]],
  'our bridge with their host-local': [['bridge'], (scene) => [{bridge: 'br7', ipam: scene.ipam(), isGateway: true, type: 'bridge'}]],
  'our ptp with their host-local and their portmap': [
    ['ptp'],
    (scene) => [
      {ipam: scene.ipam(), ipMasq: true, type: 'ptp'},
      {capabilities: {portMappings: true}, type: 'portmap'},
    ],
  ],
  'their ptp with our host-local, portmap and firewall': [
    ['host-local', 'portmap', 'firewall'],
    (scene) => [{ipam: scene.ipam(), type: 'ptp'}, {capabilities: {portMappings: true}, type: 'portmap'}, {type: 'firewall'}],
  ],
  'our bridge and bandwidth with their static, tuning and firewall': [
    ['bridge', 'bandwidth'],
    (scene) => [
      {
        bridge: 'br7',
        ipam: {addresses: [{address: '10.77.0.2/24', gateway: '10.77.0.1'}], type: 'static'},
        isGateway: true,
        type: 'bridge',
      },
      {dataDir: join(scene.dir, 'tuning'), mtu: 1300, type: 'tuning'},
      {backend: 'iptables', type: 'firewall'},
      {egressBurst: 8_000_000, egressRate: 80_000_000, type: 'bandwidth'},
    ],
  ],
}

for (const [name, [ours, chainOf]] of Object.entries(mixtures)) {
  for (const version of ['0.4.0', '1.0.0']) {
    test(`a chain works that mixes plugins: ${name}, version ${version}`, {skip: noCnitool || noPlugins}, async () => {
      await using scene = await Scene.open()
      const path = [scene.plugins(...ours), theirs]
      const chain = chainOf(scene)
      const ports = {portMappings: [{containerPort: 80, hostPort: 8080, protocol: 'tcp'}]}

      const result: CniResult = JSON.parse(await scene.ok('add', path, version, chain, ports))

      assert.equal(result.ips[0]?.address, '10.77.0.2/24')
      await using _server = await scene.greeter(80)
      assert.equal(await scene.greeting('10.77.0.2', 80), 'hello')
      if (name.includes('portmap')) assert.equal(await scene.greeting('10.77.0.1', 8080), 'hello')
      // Debian's portmap asks for rules of IPv6 that it has not made.
      if (!name.includes('their portmap')) await scene.ok('check', path, version, chain, ports)
      await scene.ok('del', path, version, chain, ports)
      assert.deepEqual(scene.reservations(), [])
      assert.match(await scene.traces(), /^ lo\n0\n$/)
    })
  }
}

test('addresses that one host-local has reserved are taken for the other', {skip: noCnitool || noPlugins}, async () => {
  await using scene = await Scene.open()
  const chain = [{ipam: scene.ipam({subnet: '10.77.0.0/29'}), type: 'ptp'}]
  const call = (path: readonly string[], verb: string, id: string): Promise<Result> => {
    const conf = {cniVersion: '1.0.0', name: 'net', ...chain[0]}
    const env = {CNI_COMMAND: verb, CNI_CONTAINERID: id, CNI_IFNAME: 'eth0', CNI_NETNS: '/none', CNI_PATH: path.join(':')}
    return runProgram([join(path[0] ?? '', 'host-local')], {env, input: JSON.stringify(conf)})
  }
  const ours = [scene.plugins('host-local')]
  const addresses: string[] = []
  for (const [index, path] of [ours, [theirs], ours, [theirs], ours].entries()) {
    const {stdout} = await call(path, 'ADD', `pod-${index}`)
    addresses.push((JSON.parse(stdout) as CniResult).ips[0]?.address ?? '')
  }

  assert.deepEqual(
    addresses,
    [2, 3, 4, 5, 6].map((last) => `10.77.0.${last}/29`),
  )
  assert.notEqual((await call([theirs], 'ADD', 'pod-6')).status, 0)
  assert.notEqual((await call(ours, 'ADD', 'pod-6')).status, 0)
  for (let index = 0; index < 5; index++) assert.equal((await call(index % 2 ? ours : [theirs], 'DEL', `pod-${index}`)).status, 0)
  assert.deepEqual(scene.reservations(), [])
})

test('a plugin called by hand says what it speaks and what is wrong with the call', async (t: TestContext) => {
  await using scene = await Scene.open()
  const ptp = join(scene.plugins('ptp'), 'ptp')
  const good = {CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'pod', CNI_IFNAME: 'eth0', CNI_NETNS: `/run/netns/${scene.pod}`, CNI_PATH: '/none'}
  const conf = {cniVersion: '1.0.0', ipam: scene.ipam(), name: 'net', type: 'ptp'}
  const version = await runProgram([ptp], {env: {CNI_COMMAND: 'VERSION'}, input: '{"cniVersion":"1.0.0"}'})
  assert.deepEqual(JSON.parse(version.stdout), {
    cniVersion: '1.0.0',
    supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  })
  const cases: readonly [string, Readonly<Record<string, string>>, object | string, number, string][] = [
    ['an unknown command', {CNI_COMMAND: 'FROB'}, conf, 4, 'unknown CNI_COMMAND: FROB'],
    ['a missing namespace', {CNI_NETNS: ''}, conf, 4, 'required env variables [CNI_NETNS] missing'],
    ['a namespace that is none', {CNI_NETNS: '/etc/passwd'}, conf, 8, '"/etc/passwd" is no network namespace'],
    ['an odd container id', {CNI_CONTAINERID: '../x'}, conf, 4, 'invalid characters in containerID: ../x'],
    ['a long link name', {CNI_IFNAME: 'x'.repeat(16)}, conf, 4, 'interface name is too long'],
    ['an odd link name', {CNI_IFNAME: 'a/b'}, conf, 4, 'interface name contains / or : or whitespace characters'],
    ['no configuration', {}, '', 6, 'error unmarshalling network config: EOF while parsing a value at line 1 column 0'],
    ['a network without a name', {}, {...conf, name: ''}, 7, 'missing network name'],
    ['an odd network name', {}, {...conf, name: '../../x'}, 7, 'invalid characters found in network name: ../../x'],
    ['a version of tomorrow', {}, {...conf, cniVersion: '9.0.0'}, 1, 'incompatible CNI versions'],
    [
      'a verb that the version has not',
      {CNI_COMMAND: 'CHECK'},
      {...conf, cniVersion: '0.3.1'},
      1,
      'config version "0.3.1" does not allow CHECK',
    ],
    ['an unknown address manager', {}, {...conf, ipam: {type: 'nosuch'}}, 999, 'Could not find plugin "nosuch"'],
    ['an address manager that is a path', {}, {...conf, ipam: {type: '../bin/sh'}}, 7, 'invalid plugin name "../bin/sh"'],
  ]
  for (const [name, env, input, code, msg] of cases) {
    await t.test(name, async () => {
      const text = typeof input === 'string' ? input : JSON.stringify(input)
      const command = ['ip', 'netns', 'exec', scene.host, ptp]
      const {status, stdout} = await runProgram(command, {env: {...good, ...env}, input: text})
      const error: {code: number; msg: string} = JSON.parse(stdout)
      assert.deepEqual([status, error.code, error.msg], [1, code, msg])
    })
  }
  assert.deepEqual(scene.reservations(), [])
})

/** A server of DHCP that gives out addresses for two minutes, the shortest time that it knows. */
function dnsmasq(dir: string): string[] {
  const server = ['dnsmasq', '--no-daemon', '--conf-file=/dev/null', '--port=0', '--interface=lan1', '--bind-interfaces', '--no-ping']
  return [
    ...server,
    '--user=root',
    '--log-dhcp',
    '--pid-file=',
    `--dhcp-leasefile=${join(dir, 'dnsmasq.leases')}`,
    '--dhcp-range=10.88.0.100,10.88.0.150,255.255.255.0,2m',
    '--dhcp-option=option:router,10.88.0.1',
    '--dhcp-option=option:dns-server,10.88.0.53',
    '--dhcp-option=121,0.0.0.0/0,10.88.0.1,10.99.0.0/16,10.88.0.2',
  ]
}

/** One that gives them out for four seconds. */
function udhcpd(dir: string): string[] {
  const conf = join(dir, 'udhcpd.conf')
  const files = `lease_file ${join(dir, 'udhcpd.leases')}\npidfile ${join(dir, 'udhcpd.pid')}\n`
  writeFileSync(join(dir, 'udhcpd.leases'), '')
  writeFileSync(conf, `start 10.88.0.100\nend 10.88.0.110\ninterface lan1\n${files}min_lease 4\nopt subnet 255.255.255.0\nopt lease 4\n`)
  return ['busybox', 'udhcpd', '-f', conf]
}

/** A host on a link with a server of DHCP, which gives out addresses of 10.88.0.100 and above. */
class Leases implements AsyncDisposable {
  readonly #server: Running
  readonly scene: Scene
  readonly socket: string

  private constructor(scene: Scene, kind: 'dnsmasq' | 'udhcpd') {
    this.scene = scene
    this.socket = join(scene.dir, 'dhcp.sock')
    this.#server = new Running(
      ['ip', 'netns', 'exec', `${scene.host}-lan`, ...(kind === 'dnsmasq' ? dnsmasq(scene.dir) : udhcpd(scene.dir))],
      {
        timeoutMs: 120_000,
      },
    )
  }

  static async open(scene: Scene, kind: 'dnsmasq' | 'udhcpd' = 'dnsmasq'): Promise<Leases> {
    const lan = `${scene.host}-lan`
    await sh(`ip netns add ${lan}; ip -n ${scene.host} link add lan0 type veth peer name lan1 netns ${lan}
      ip -n ${scene.host} link set lan0 up; ip -n ${lan} link set lan1 up; ip -n ${lan} addr add 10.88.0.1/24 dev lan1`)
    const leases = new Leases(scene, kind)
    await eventually(() => /DHCP, sockets bound|started, v/.test(leases.server), 'the server')
    return leases
  }

  /** What the server said. */
  get server(): string {
    return this.#server.stderr
  }

  kill(): void {
    this.#server.kill('SIGKILL')
  }

  async daemon(program: string): Promise<Running> {
    const daemon = new Running(['ip', 'netns', 'exec', this.scene.host, program, 'daemon', '-socketpath', this.socket], {
      timeoutMs: 120_000,
    })
    await eventually(() => existsSync(this.socket), 'the daemon listens')
    return daemon
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    await sh(`ip netns del ${this.scene.host}-lan`)
  }
}

const daemons = {
  'our plugin, our daemon': [['macvlan', 'dhcp'], true],
  'our plugin, their daemon': [['macvlan', 'dhcp'], false],
  'their plugin, our daemon': [['macvlan'], true],
} as const

for (const [name, [ours, isOurs]] of Object.entries(daemons)) {
  test(`a pod has an address of the link's DHCP server: ${name}`, {
    skip: noCnitool || (isOurs && ours.length === 2 ? false : noPlugins),
  }, async () => {
    await using scene = await Scene.open()
    await using leases = await Leases.open(scene)
    const program = isOurs ? join(scene.plugins('dhcp'), 'dhcp') : join(theirs, 'dhcp')
    await using daemon = await leases.daemon(program)
    const path = [scene.plugins(...ours), theirs]
    const chain = [{ipam: {daemonSocketPath: leases.socket, type: 'dhcp'}, master: 'lan0', type: 'macvlan'}]

    const result: CniResult = JSON.parse(await scene.ok('add', path, '1.0.0', chain))

    assert.match(result.ips[0]?.address ?? '', /^10\.88\.0\.1\d\d\/24$/)
    const routes = (await runProgram(['ip', '-n', scene.pod, 'route'])).stdout
    assert.match(routes, /default via 10\.88\.0\.1 dev eth0/)
    if (isOurs) assert.match(routes, /10\.99\.0\.0\/16 via 10\.88\.0\.2 dev eth0/) // theirs does not ask for such routes
    const ping = await runProgram(['ip', 'netns', 'exec', scene.pod, 'busybox', 'ping', '-c', '1', '-W', '3', '10.88.0.1'])
    assert.equal(ping.status, 0, ping.stdout)
    await scene.ok('check', path, '1.0.0', chain)
    await scene.ok('del', path, '1.0.0', chain)
    await eventually(() => leases.server.includes('DHCPRELEASE'), 'the lease is given back')
    if (!isOurs) return
    process.kill(daemon.pid, 'SIGTERM')
    await daemon.exit
    await eventually(() => !existsSync(leases.socket), 'the socket goes with the daemon')
  })
}

test('a lease is renewed while its server lives, and the link goes down when it has ended', {skip: noCnitool}, async () => {
  await using scene = await Scene.open()
  await using leases = await Leases.open(scene, 'udhcpd')
  await using daemon = await leases.daemon(join(scene.plugins('dhcp'), 'dhcp'))
  const path = [scene.plugins('macvlan', 'dhcp')]
  const chain = [{ipam: {daemonSocketPath: leases.socket, type: 'dhcp'}, master: 'lan0', type: 'macvlan'}]
  await scene.ok('add', path, '1.0.0', chain)
  const isUp = async (): Promise<boolean> => / UP /.test((await runProgram(['ip', '-n', scene.pod, '-br', 'link', 'show', 'eth0'])).stdout)
  assert.equal(await isUp(), true)

  await eventually(
    () => (leases.server.match(/sending ACK/g) ?? []).length >= 3,
    () => `two renewals: ${leases.server}${daemon.stderr}`,
  )
  assert.equal(await isUp(), true)
  leases.kill()

  await eventually(async () => !(await isUp()), 'the link goes down')
  assert.match(daemon.stderr, /the lease has ended/)
})

test('without a daemon or a server the message names what is missing', {skip: noCnitool}, async () => {
  await using scene = await Scene.open()
  await using leases = await Leases.open(scene)
  const path = [scene.plugins(...names, 'dhcp')]
  const chain = [{ipam: {daemonSocketPath: leases.socket, type: 'dhcp'}, master: 'lan0', type: 'macvlan'}]
  const {status, stderr} = await scene.cnitool('add', path, '1.1.0', chain)
  assert.equal(status, 1)
  assert.match(stderr, /failed to talk to .*dhcp\.sock: No such file or directory.*is the daemon running\?/)
  assert.notEqual((await scene.cnitool('status', path, '1.1.0', chain)).status, 0)
  await sh(`ip -n ${scene.host}-lan link set lan1 down`)
  const program = join(path[0] ?? '', 'dhcp')
  await using _daemon = new Running(['ip', 'netns', 'exec', scene.host, program, 'daemon', '-socketpath', leases.socket, '-timeout', '2s'])
  await eventually(() => existsSync(leases.socket), 'the daemon listens')
  const silent = await scene.cnitool('add', path, '1.1.0', chain)
  assert.match(silent.stderr, /no DHCP server answers on \\?"eth0/)
})

/**
 * Throughput from the host to a pod on the networks of our plugins, by iperf3, against a veth pair made by hand. All three pods are there
 * at once and are measured in turn, so that what disturbs one disturbs the others too.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process'
import {symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {median} from './pairs.ts'

export interface Throughput {
  readonly network: string
  readonly gbits: number
  readonly byHandGbits: number
  /** The median of the ratios of the rounds: of the network / by hand. */
  readonly ratio: number
  /** The same of bits by processor time, which a busy machine disturbs less. */
  readonly ratioByCpu: number
}

interface Rate {
  readonly bits: number
  /** Bits a second by per cent of a processor, of both ends. */
  readonly byCpu: number
}

interface Pod {
  readonly address: string
  readonly netns: string
}

/** Measures in the network namespace of the caller, which keeps nothing of it but the bridge. */
export function throughput(stage1: string, directory: string, rounds: number): Throughput[] {
  const pods: Record<string, Pod> = {
    bridge: attach(stage1, directory, {bridge: 'bench0', isGateway: true, type: 'bridge'}, '10.81.0.0/24'),
    byHand: byHand(),
    ptp: attach(stage1, directory, {ipMasq: true, type: 'ptp'}, '10.82.0.0/24'),
  }
  const servers = Object.values(pods).map(serve)
  try {
    const rates: Record<string, Rate[]> = {bridge: [], byHand: [], ptp: []}
    for (let round = -1; round < rounds; round++) {
      const names = Object.keys(pods)
      for (const name of round % 2 === 0 ? names : names.reverse()) {
        const rate = measured(pods[name]?.address ?? '')
        if (round >= 0) rates[name]?.push(rate) // the first round warms up
      }
    }
    return ['ptp', 'bridge'].map((network) => {
      const [own, hand] = [rates[network] ?? [], rates.byHand ?? []]
      const ratioOf = (key: keyof Rate): number => median(own.map((rate, at) => rate[key] / (hand[at]?.[key] ?? Number.NaN)))
      const gbits = (all: readonly Rate[]): number => median(all.map((rate) => rate.bits)) / 1e9
      return {byHandGbits: gbits(hand), gbits: gbits(own), network, ratio: ratioOf('bits'), ratioByCpu: ratioOf('byCpu')}
    })
  } finally {
    for (const server of servers) server.kill('SIGKILL')
    for (const {netns} of Object.values(pods)) run(['ip', 'netns', 'del', netns])
  }
}

function run([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env, input = ''): string {
  const {error, status, stderr, stdout} = spawnSync(program, args, {encoding: 'utf8', env, input})
  if (error !== undefined || status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`}`)
  return stdout
}

function namespace(name: string): string {
  run(['ip', 'netns', 'add', name])
  run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
  return name
}

function attach(stage1: string, directory: string, conf: Readonly<Record<string, unknown>> & {readonly type: string}, subnet: string): Pod {
  const netns = namespace(`bench-${conf.type}`)
  const plugin = join(directory, conf.type)
  symlinkSync(stage1, plugin)
  const ipam = {dataDir: join(directory, 'networks'), routes: [{dst: '0.0.0.0/0'}], subnet, type: 'host-local'}
  const call = {CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'bench', CNI_IFNAME: 'eth0', CNI_NETNS: `/run/netns/${netns}`, CNI_PATH: directory}
  const answer = run([plugin], {...process.env, ...call}, JSON.stringify({...conf, cniVersion: '1.0.0', ipam, name: conf.type}))
  const {ips}: {ips: {address: string}[]} = JSON.parse(answer)
  return {address: ips[0]?.address.split('/')[0] ?? '', netns}
}

function byHand(): Pod {
  const netns = namespace('bench-hand')
  run(['ip', 'link', 'add', 'bench1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns])
  run(['ip', 'addr', 'add', '10.83.0.1/24', 'dev', 'bench1'])
  run(['ip', 'link', 'set', 'bench1', 'up'])
  run(['ip', '-n', netns, 'addr', 'add', '10.83.0.2/24', 'dev', 'eth0'])
  run(['ip', '-n', netns, 'link', 'set', 'eth0', 'up'])
  return {address: '10.83.0.2', netns}
}

function serve({netns}: Pod): ChildProcess {
  return spawn('ip', ['netns', 'exec', netns, 'iperf3', '--server'], {stdio: 'ignore'})
}

interface Report {
  readonly end?: {
    readonly cpu_utilization_percent?: {readonly host_total: number; readonly remote_total: number}
    readonly sum_received?: {readonly bits_per_second: number}
  }
}

function measured(address: string): Rate {
  for (let tries = 0; ; tries++) {
    const {stdout} = spawnSync('iperf3', ['--client', address, '--time', '1', '--json'], {encoding: 'utf8'})
    const {end}: Report = JSON.parse(stdout || '{}')
    const bits = end?.sum_received?.bits_per_second
    const cpu = end?.cpu_utilization_percent
    if (bits !== undefined && cpu !== undefined) return {bits, byCpu: bits / (cpu.host_total + cpu.remote_total)}
    if (tries === 20) throw new Error(`iperf3 does not reach ${address}: ${stdout}`)
    spawnSync('sleep', ['0.1']) // the server is not there yet
  }
}

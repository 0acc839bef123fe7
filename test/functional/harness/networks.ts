/** What tests of networks need: network namespaces that are other hosts, and plugins of other people. */
import {execFileSync} from 'node:child_process'
import {chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Host} from './host.ts'
import {addBusybox, addWithLibraries, buildImage, compileProgram, manifest} from './images.ts'

/** Where Debian's containernetworking-plugins lie. */
export const debianPlugins = '/usr/lib/cni'

let counter = 0

/** A network namespace of a test's own, gone with it. */
export class Namespace implements Disposable {
  readonly name: string

  constructor() {
    this.name = `rkt-test-${process.pid}-${counter++}`
    execFileSync('ip', ['netns', 'add', this.name])
    this.run('ip link set lo up')
  }

  /** The words that start a command inside, with the mounts of the test. */
  get within(): string[] {
    return ['nsenter', `--net=/run/netns/${this.name}`]
  }

  /** Runs a line of shell inside and answers what it printed. */
  run(line: string, shell = 'sh'): string {
    return execFileSync('nsenter', [`--net=/run/netns/${this.name}`, shell, '-ec', line], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  [Symbol.dispose](): void {
    execFileSync('ip', ['netns', 'delete', this.name])
  }
}

/** Joins two namespaces by a veth pair, each end with its address. */
export function connect(one: Namespace, oneAddress: string, other: Namespace, otherAddress: string, name = 'lan'): void {
  execFileSync('ip', ['link', 'add', name, 'netns', one.name, 'type', 'veth', 'peer', 'name', name, 'netns', other.name])
  for (const [end, address] of [
    [one, oneAddress],
    [other, otherAddress],
  ] as const) {
    end.run(`ip address add ${address} dev ${name}; ip link set ${name} up`)
  }
}

/** Writes a network's configuration where the administrator's lie. */
export function addNetwork(host: Host, file: string, conf: object | string): void {
  host.write(join('local/net.d', file), typeof conf === 'string' ? conf : JSON.stringify(conf))
}

/** Lets a host find a plugin of Debian's. */
export function addDebianPlugins(host: Host, ...kinds: readonly string[]): void {
  const directory = join(host.localConfig, 'net.d')
  mkdirSync(directory, {recursive: true})
  for (const kind of kinds) symlinkSync(join(debianPlugins, kind), join(directory, kind))
}

/** A plugin that is a shell script. `$conf` is what came on stdin, and every call is noted: see {@link calls}. */
export function addScript(host: Host, kind: string, script: string): void {
  const log = host.path('calls')
  const path = host.write(
    join('local/net.d', kind),
    `#!/bin/sh
conf=$(cat)
echo "${kind} $CNI_COMMAND $CNI_IFNAME" >> ${log}
${script}
`,
  )
  chmodSync(path, 0o755)
}

/** The calls of scripts, `KIND VERB INTERFACE` each, in order; forgotten then. */
export function calls(host: Host): string[] {
  const log = host.path('calls')
  if (!existsSync(log)) return []
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  writeFileSync(log, '')
  return lines.filter((line) => line !== '')
}

/** What a plugin prints for an address, in the words of the protocol's first version. */
export const oldResult = (ip: string, dns?: object): string => JSON.stringify({ip4: {ip}, ...(dns && {dns})})

/** A host, a router, and a client behind it; the router knows nothing of pods. */
export class Lan implements Disposable {
  readonly host = new Namespace()
  readonly router = new Namespace()
  readonly client = new Namespace()

  constructor() {
    connect(this.host, '192.0.2.2/24', this.router, '192.0.2.1/24', 'lan')
    connect(this.client, '198.51.100.2/24', this.router, '198.51.100.1/24', 'wan')
    this.host.run('ip -6 address add fd00:2::2/64 dev lan nodad; ip route add default via 192.0.2.1')
    this.router.run('echo 1 > /proc/sys/net/ipv4/ip_forward; ip -6 address add fd00:2::1/64 dev lan nodad')
    this.client.run('ip route add default via 198.51.100.1')
  }

  [Symbol.dispose](): void {
    for (const namespace of [this.client, this.router, this.host]) namespace[Symbol.dispose]()
  }
}

/** A web server that answers who asks: `example.com/web`, port `http`; `echo` is three ports of datagrams that are answered. */
export async function webServer(): Promise<string> {
  const file = '/tmp/rkt-fixtures/web-server.aci'
  if (existsSync(file)) return file
  const ports = [
    {name: 'http', port: 80, protocol: 'tcp'},
    {count: 3, name: 'echo', port: 5000, protocol: 'udp'},
  ]
  const serve = 'udp-echo 5000 5001 5002 & exec httpd -f -p 80 -h /www'
  return await buildImage(
    manifest({app: {exec: ['/bin/sh', '-c', serve], ports}, name: 'example.com/web'}),
    (rootfs) => {
      addBusybox(rootfs)
      addWithLibraries(rootfs, '/usr/bin/curl')
      copyFileSync(compileProgram('udp-echo'), `${rootfs}/bin/udp-echo`)
      execFileSync('sh', [
        '-ec',
        `mkdir -p ${rootfs}/www/cgi-bin; cd ${rootfs}/www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR | sed s,.*ffff:,, | tr -d []\\n' > who; chmod 755 who`,
      ])
      execFileSync('sh', ['-ec', `cd ${rootfs}/bin; ln -sf busybox httpd`])
    },
    file,
  )
}

/** What the web server answers to a datagram at ADDRESS:PORT. Its servers start at the same time: a first datagram may be lost. */
export const echo = (from: Namespace, where: string) =>
  from.run(`python3 - <<'END'
import socket, sys, time
host, port = ${JSON.stringify(where)}.rsplit(':', 1)
s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1); s.connect((host, int(port)))
for _ in range(6):
    try: s.send(b'hello'); print(s.recv(99).decode()); sys.exit()
    except OSError: time.sleep(0.2)
sys.exit('no answer')
END`)

/** What the web server at that address says of who asks. */
export const ask = (from: Namespace, where: string) => from.run(`curl -sSfg --max-time 5 http://${where}/cgi-bin/who`).trim()

/** Whether it answers at all. */
export const answers = (from: Namespace, where: string) => {
  try {
    return ask(from, where) !== ''
  } catch {
    return false
  }
}

/** What tests of networks need: network namespaces that are other hosts, and plugins of other people. */
import {execFileSync} from 'node:child_process'
import {chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Host} from './host.ts'

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
  run(line: string): string {
    return execFileSync('nsenter', [`--net=/run/netns/${this.name}`, 'sh', '-ec', line], {
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

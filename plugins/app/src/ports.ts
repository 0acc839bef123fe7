import {isIP} from 'node:net'
import {type ExposedPort, parseAcName} from '@rkt/engine'

const number = (text: string, what: string): number => {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new Error(`${JSON.stringify(text)} is not a valid ${what}`)
  return port
}

/** `NAME:PROTO:PODPORT:HOSTIP:HOSTPORT`; an IPv6 address stands in brackets. */
export function parseSandboxPort(text: string): ExposedPort {
  const match = /^([^:]*):([^:]*):([^:]*):(\[[^\]]*\]|[^:]*):([^:]*)$/.exec(text)
  if (!match) throw new Error('--port invalid format')
  const [, name = '', protocol = '', podPort = '', host = '', hostPort = ''] = match
  if (protocol !== 'tcp' && protocol !== 'udp') throw new Error(`invalid protocol ${JSON.stringify(protocol)}`)
  const hostIP = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(hostIP) === 0) throw new Error(`could not parse IP ${JSON.stringify(hostIP)}`)
  const port = number(podPort, 'port number')
  const named = parseAcName(name)
  return {
    hostIP,
    hostPort: number(hostPort, 'port number'),
    name: named,
    podPort: {count: 1, name: named, port, protocol, socketActivated: false},
  }
}

import type {ExposedPort, RuntimeApp} from '../appc/index.ts'
import {RktError} from '../errors.ts'

const fail = (message: string) => new RktError('RKT_BAD_PORT', message)

/** Every port that the host is to offer is the port of exactly one app, and no two want the same address. */
export function checkPorts(ports: readonly ExposedPort[], apps: readonly RuntimeApp[]): void {
  const taken: {protocol: string; hostPort: number; hostIP: string; podPort: number}[] = []
  for (const {hostIP = anyAddress, hostPort, name} of ports) {
    const found = apps.flatMap(({app}) => app?.ports?.filter((port) => port.name === name) ?? [])
    const [port] = found
    if (port === undefined) throw fail(`port name "${name}" could not be found in any apps`)
    if (found.length > 1) throw fail(`port name "${name}" defined multiple apps`)
    const other = taken.find((each) => each.protocol === port.protocol && each.hostPort === hostPort && overlaps(each.hostIP, hostIP))
    if (other) throw fail(`port ${port.protocol}-${hostIP}:${hostPort} already mapped to pod port ${other.podPort}`)
    taken.push({hostIP, hostPort, podPort: port.port, protocol: port.protocol})
  }
}

const anyAddress = '0.0.0.0'
const overlaps = (a: string, b: string) => a === b || a === anyAddress || b === anyAddress

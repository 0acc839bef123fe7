import type {ExposedPort, RuntimeApp} from '../appc/index.ts'
import {RktError} from '../errors.ts'

const fail = (message: string, hint?: string) => new RktError('RKT_BAD_PORT', message, {hint})

/** The ports that could have been named. */
function choice(apps: readonly RuntimeApp[]): string {
  const names = apps.flatMap(({app}) => app?.ports?.map((port) => `"${port.name}"`) ?? [])
  return names.length > 0 ? `Its apps have ${names.join(', ')}.` : 'The manifests of its images name no ports.'
}

/** The ports of the host that one of the pod's, or a range of them, is offered on. */
interface Place {
  readonly count: number
  readonly hostIP: string
  readonly hostPort: number
  readonly podPort: number
  readonly protocol: string
}

/** Every port that the host is to offer is the port of exactly one app, and no two want the same address. */
export function checkPorts(ports: readonly ExposedPort[], apps: readonly RuntimeApp[]): void {
  const taken: Place[] = []
  for (const {hostIP = anyAddress, hostPort, name, podPort} of ports) {
    const found = podPort ? [podPort] : apps.flatMap(({app}) => app?.ports?.filter((port) => port.name === name) ?? [])
    const [port] = found
    if (port === undefined) throw fail(`port name "${name}" could not be found in any apps`, choice(apps))
    if (found.length > 1) throw fail(`port name "${name}" defined multiple apps`)
    const place = {count: port.count, hostIP, hostPort, podPort: port.port, protocol: port.protocol.toLowerCase()}
    const other = taken.find((each) => overlap(each, place))
    if (other) throw fail(`port ${place.protocol}-${hostIP}:${hostPort} already mapped to pod port ${other.podPort}`)
    if (hostPort + port.count > maxPort + 1) throw fail(`port "${name}": there are no ${port.count} ports from ${hostPort} on`)
    taken.push(place)
  }
}

const anyAddress = '0.0.0.0'
const maxPort = 65_535
const isAny = (ip: string) => ip === anyAddress || ip === '::'

function overlap(a: Place, b: Place): boolean {
  if (a.protocol !== b.protocol || !(a.hostIP === b.hostIP || isAny(a.hostIP) || isAny(b.hostIP))) return false
  return a.hostPort < b.hostPort + b.count && b.hostPort < a.hostPort + a.count
}

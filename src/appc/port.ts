import {RktError} from '../errors.ts'
import {parseAcName} from './names.ts'
import {type ParameterErrors, parseBoolean, parseInteger, parseKnownParameters} from './parameters.ts'
import {isAddress} from './scalars.ts'
import {quoteWhole as quote} from './text.ts'
import type {AcName, ExposedPort, Port} from './types.ts'

const ERRORS: ParameterErrors = {code: 'RKT_BAD_PORT', what: 'port'}
const MAX_PORT = 65535

/** What keeps a range of ports from being one, or null; `count` is as written, 0 when it is not. */
export function portProblem(port: number, count: number): string | null {
  if (port < 1 || port > MAX_PORT) return `port must be in 1-${MAX_PORT} range`
  if (port + count > MAX_PORT + 1) return `end of port range must be in 1-${MAX_PORT} range`
  return null
}

/** A port of an app: `NAME,protocol=tcp,port=8080[,count=N][,socketActivated=BOOL]`. */
export function parsePort(text: string): Port {
  const parameters = parseKnownParameters(`name=${text}`, ['name', 'protocol', 'port', 'count', 'socketActivated'], ERRORS)
  const name = parseAcName(parameters.get('name') ?? '')
  const protocol = parameters.get('protocol') ?? ''
  const port = parseInteger(parameters.get('port'), 'port', MAX_PORT, ERRORS) ?? 0
  const count = parseInteger(parameters.get('count'), 'count', MAX_PORT, ERRORS) ?? 0
  const socketActivated = parseBoolean(parameters.get('socketActivated'), 'socketActivated', ERRORS) ?? false
  const problem = portProblem(port, count)
  if (problem !== null) throw new RktError(ERRORS.code, problem)
  return {count: count || 1, name, port, protocol, socketActivated}
}

const EXPOSED = /^([^:]*):(?:(\[[^\]]*\]|[^:]*):)?([^:]*)$/

/** The option `--port`: `NAME:[HOSTIP:]HOSTPORT`; an IPv6 address stands in brackets. */
export function parseExposedPort(text: string): ExposedPort {
  const fail = (message: string): never => {
    throw new RktError(ERRORS.code, message)
  }
  const [, name, host, port] = EXPOSED.exec(text) ?? []
  if (name === undefined || port === undefined) return fail(`${quote(text)} is not in name:[ip:]port format`)
  const hostIP = host?.replace(/^\[(.*)\]$/, '$1')
  if (hostIP !== undefined && !isAddress(hostIP)) return fail(`${quote(hostIP)} is not a valid IP`)
  // the number's error quotes the second field, whichever that is, as it always has
  const hostPort = /^[0-9]{1,5}$/.test(port) ? Number(port) : 0
  if (hostPort < 1 || hostPort > MAX_PORT) return fail(`${quote(host ?? port)} is not a valid port number`)
  return {hostPort, name: portName(name), ...(hostIP === undefined ? {} : {hostIP})}
}

function portName(name: string): AcName {
  try {
    return parseAcName(name)
  } catch (cause) {
    throw new RktError(ERRORS.code, `${quote(name)} is not a valid port name`, {cause})
  }
}

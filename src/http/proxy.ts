import {isIP} from 'node:net'
import {RktError} from '../errors.ts'
import {redactUrl} from './redact.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The proxy for a URL by `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, of which the lower-case forms win; null for none. `localhost` and
 * loopback addresses are never proxied.
 * @throws RktError RKT_HTTP_PROXY for a proxy that is no http URL
 */
export function proxyFor(url: URL, environment: Environment): URL | null {
  const text = variable(environment, url.protocol === 'https:' ? 'https_proxy' : 'http_proxy')
  if (text === '' || isLoopback(url.hostname) || isExcluded(url, variable(environment, 'no_proxy'))) return null
  const proxy = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (proxy?.protocol === 'http:' || proxy?.protocol === 'https:') return proxy
  throw new RktError('RKT_HTTP_PROXY', `${JSON.stringify(redactUrl(text))} is no proxy`, {
    hint: 'Give HTTP_PROXY and HTTPS_PROXY as http://HOST:PORT.',
  })
}

function variable(environment: Environment, name: string): string {
  return (environment[name] || environment[name.toUpperCase()] || '').trim()
}

/** Whether a host of a URL is this machine. */
export function isLoopback(hostname: string): boolean {
  const host = bare(hostname)
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.')) || /^::ffff:7f/.test(host)
}

const bare = (hostname: string): string =>
  hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')

/** `NO_PROXY`: hosts with what is below them, `.suffixes`, `HOST:PORT`, addresses, networks as `10.0.0.0/8`, and `*` for everything. */
function isExcluded(url: URL, list: string): boolean {
  const host = bare(url.hostname)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return list.split(/[\s,]+/).some((item) => item !== '' && matches(item.toLowerCase(), host, port))
}

function matches(item: string, host: string, port: string): boolean {
  if (item === '*') return true
  if (item.includes('/')) return inNetwork(item, host)
  const [, bracketed, plain, itemPort] = /^(?:\[([^\]]+)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(item) ?? []
  if (itemPort !== undefined && itemPort !== port) return false
  const name = bracketed ?? plain ?? ''
  if (isIP(name) !== 0 || isIP(host) !== 0) return name === host
  const suffix = name.replace(/^\*?\./, '')
  if (suffix === '') return false
  return host.endsWith(`.${suffix}`) || (host === suffix && !/^\*?\./.test(name))
}

function inNetwork(network: string, host: string): boolean {
  const [address = '', bits = ''] = network.split('/')
  const family = isIP(address)
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) return false
  const {BlockList} = process.getBuiltinModule('node:net')
  const networks = new BlockList()
  const type = family === 4 ? 'ipv4' : 'ipv6'
  networks.addSubnet(address, Number(bits), type)
  return networks.check(host, type)
}

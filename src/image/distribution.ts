import {type AcIdentifier, type Label, parseAcIdentifier} from '../appc/index.ts'
import {RktError} from '../errors.ts'

/** What a `cimd:` URI names: where an image is distributed. */
export type DistributionPoint =
  | {readonly type: 'aci-archive'; readonly url: string}
  | {readonly type: 'appc'; readonly name: AcIdentifier; readonly labels: readonly Label[]}
  | {readonly type: 'docker'; readonly reference: string}
  /** `ref` is null where the place holds one image. */
  | {readonly type: 'docker-archive' | 'oci-image-layout'; readonly url: string; readonly ref: string | null}

/** Reads `cimd:TYPE:v=VERSION:DATA`; the `v=` may be missing. */
export function parseDistributionPoint(uri: string): DistributionPoint {
  const malformed = (cause: string) =>
    new RktError('RKT_BAD_DISTRIBUTION', `malformed distribution uri ${JSON.stringify(uri)}`, {cause: new Error(cause)})
  const [scheme, type = '', version = '', ...rest] = uri.split(':')
  if (scheme?.toLowerCase() !== 'cimd') throw malformed(`unsupported scheme: "${scheme}"`)
  if (rest.length === 0) throw malformed(`malformed distribution uri: ${JSON.stringify(uri)}`)
  if (!/^(v=)?\d+$/.test(version)) throw malformed(`malformed distribution version: ${version}`)
  const data = rest.join(':')
  switch (type) {
    case 'aci-archive':
      return {type, url: queryUnescape(data)}
    case 'appc':
      return {type, ...parseAppc(data)}
    case 'docker':
      return {reference: data, type}
    case 'docker-archive':
    case 'oci-image-layout':
      return {type, ...parsePlace(data)}
    default:
      throw new RktError('RKT_BAD_DISTRIBUTION', `unknown distribution type: ${JSON.stringify(type)}`)
  }
}

/** The canonical URI: labels in the order of their names. */
export function formatDistributionPoint(point: DistributionPoint): string {
  switch (point.type) {
    case 'aci-archive':
      return `cimd:aci-archive:v=0:${queryEscape(point.url)}`
    case 'appc': {
      const labels = point.labels
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map(({name, value}) => `${queryEscape(name)}=${queryEscape(value)}`)
      const query = labels.length === 0 ? '' : `?${labels.join('&')}`
      return `cimd:appc:v=0:${point.name}${query}`
    }
    case 'docker':
      return `cimd:docker:v=0:${point.reference}`
    case 'docker-archive':
    case 'oci-image-layout':
      return `cimd:${point.type}:v=0:${queryEscape(point.url)}${point.ref === null ? '' : `?ref=${queryEscape(point.ref)}`}`
  }
}

function parsePlace(data: string): {url: string; ref: string | null} {
  const [url = '', query = ''] = data.split(/\?(.*)/s)
  const refs = query.split('&').flatMap((pair) => (pair.startsWith('ref=') ? [queryUnescape(pair.slice('ref='.length))] : []))
  return {ref: refs[0] ?? null, url: queryUnescape(url)}
}

function parseAppc(data: string): {name: AcIdentifier; labels: Label[]} {
  const [name = '', query = ''] = data.split(/\?(.*)/s)
  const labels = new Map<string, string>()
  for (const pair of query.split('&').filter((part) => part !== '')) {
    const [label = '', value = ''] = pair.split(/=(.*)/s)
    labels.set(queryUnescape(label), queryUnescape(value))
  }
  return {
    labels: [...labels].map(([label, value]) => ({name: parseAcIdentifier(label), value})),
    name: parseAcIdentifier(queryUnescape(name)),
  }
}

function queryUnescape(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (cause) {
    throw new RktError('RKT_BAD_DISTRIBUTION', `error unescaping url ${JSON.stringify(text)}`, {cause})
  }
}

/** As Go's `url.QueryEscape`, which the documented URIs are written with. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/%20/g, '+')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

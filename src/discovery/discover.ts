import {type Auth, sayOrigins} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import {causeChain, RktError} from '../errors.ts'
import {authorizeBy, type HttpClient} from '../http/index.ts'
import {type MetaTag, metaTags} from './meta-tags.ts'
import {fillTemplate, type Wanted} from './template.ts'

/** What discovery needs of others. */
export interface DiscoveryPorts {
  readonly http: Pick<HttpClient, 'read'>
  /** Credentials by domain: a page of exactly that host gets them, `aws` excepted. */
  readonly auth: ReadonlyMap<string, Auth>
  readonly diagnostics: Diagnostics
  /** Plain http is tried where https does not give a page (insecure option `http`). */
  readonly allowHttp: boolean
  /** Names cannot hold a port; this one is asked instead of the protocol's own. */
  readonly port?: number | undefined
}

/** Where an image archive and its detached signature lie. */
export interface Endpoint {
  readonly archive: string
  readonly signature: string
}

export interface Discovered<Item> {
  /** At least one, in the order of the page. */
  readonly items: readonly Item[]
  /** The name, or the parent of it, whose page gave them. */
  readonly prefix: string
}

/** Pages of people are smaller; whoever sends more does not mean well. */
const maxPage = 2 * 1024 * 1024
const ext = 'aci'

/**
 * Where the archive of an image lies. `labels` are those that the template may use, os and arch of the host included by the caller.
 * @throws RktError RKT_DISCOVERY_FAILED
 */
export function discoverEndpoints(ports: DiscoveryPorts, wanted: Wanted): Promise<Discovered<Endpoint>> {
  return walk(ports, wanted.name, {
    kind: 'ac-discovery',
    read({target}) {
      const archive = fillTemplate(target, wanted, ext)
      const signature = fillTemplate(target, wanted, `${ext}.asc`)
      return archive === null || signature === null ? null : {archive, signature}
    },
    speaker: 'image',
  })
}

/**
 * Where the keys lie that sign images of a name: URLs as the page has them.
 * @throws RktError RKT_DISCOVERY_FAILED
 */
export function discoverKeyLocations(ports: DiscoveryPorts, name: string): Promise<Discovered<string>> {
  return walk(ports, name, {kind: 'ac-discovery-pubkeys', read: ({target}) => target, speaker: 'pubkey'})
}

interface Search<Item> {
  readonly kind: string
  /** What a tag of that kind gives; null where it does not serve. */
  readonly read: (tag: MetaTag) => Item | null
  /** The prefix of lines about pages that could not be had. */
  readonly speaker: string
}

/** From the name to its first element: the first page with what is searched for decides alone. */
async function walk<Item>(ports: DiscoveryPorts, name: string, {kind, read, speaker}: Search<Item>): Promise<Discovered<Item>> {
  const elements = name.split('/')
  for (let length = elements.length; length > 0; length--) {
    const prefix = elements.slice(0, length).join('/')
    let tags: MetaTag[]
    try {
      tags = await metaTags(await page(ports, prefix))
    } catch (error) {
      ports.diagnostics.debug(speaker, `meta tag '${kind}' not found on ${prefix}: ${causeChain(error).at(-1)}`)
      continue
    }
    const relevant = tags.filter((tag) => tag.kind === kind && name.startsWith(tag.prefix))
    const items = relevant.map(read).filter((item) => item !== null)
    if (items.length > 0) return {items, prefix}
  }
  throw new RktError('RKT_DISCOVERY_FAILED', 'discovery failed', {
    hint: `Ask the publisher of ${JSON.stringify(name)} where it lies; with --debug rkt says what it asked.`,
  })
}

async function page(ports: DiscoveryPorts, prefix: string): Promise<string> {
  try {
    return await pageOver('https', ports, prefix)
  } catch (error) {
    if (!ports.allowHttp) throw error
    return await pageOver('http', ports, prefix)
  }
}

async function pageOver(
  scheme: 'http' | 'https',
  {allowHttp, auth, diagnostics, http, port}: DiscoveryPorts,
  prefix: string,
): Promise<string> {
  const url = URL.parse(`${scheme}://${prefix}?ac-discovery=1`)
  if (url === null) throw new Error(`"${prefix}" is not the name of a host`)
  if (port !== undefined) url.port = String(port)
  const {bytes, status} = await http.read(url, {
    allowDowngrade: allowHttp,
    attempts: 1,
    authorize: authorizeBy(auth, {aws: false, plainHttp: true, shown: sayOrigins((line) => diagnostics.debug('image', line))}),
    gzip: true,
    limit: maxPage,
  })
  if (status !== 200) throw new Error(`expected a 200 OK got ${status}`)
  return new TextDecoder().decode(bytes)
}

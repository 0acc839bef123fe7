import type {Agent} from 'node:http'
import type {AgentOptions} from 'node:https'
import {proxyFor} from './proxy.ts'
import {certificateAuthorities} from './roots.ts'

interface AgentsOptions {
  readonly debug: (message: string) => void
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly insecureTls: boolean
}

/** The connections of one client, kept for the next request: an agent for each proxy and protocol. */
export class Agents {
  readonly #agents = new Map<string, Promise<Agent>>()
  readonly #options: AgentsOptions

  constructor(options: AgentsOptions) {
    this.#options = options
  }

  for(url: URL): Promise<Agent> {
    const proxy = proxyFor(url, this.#options.environment)
    const key = `${url.protocol} ${proxy?.href ?? ''}`
    const known = this.#agents.get(key)
    if (known !== undefined) return known
    if (proxy !== null) this.#options.debug(`requests to ${url.host} go through the proxy ${proxy.host}`)
    const made = this.#make(url.protocol, proxy)
    this.#agents.set(key, made)
    return made
  }

  async #make(protocol: string, proxy: URL | null): Promise<Agent> {
    const options: AgentOptions = {
      // Node gives an attempt up after this long for the host's next address; its own 250 ms are too few for slow links
      autoSelectFamilyAttemptTimeout: 1000,
      keepAlive: true,
      proxyEnv: proxy === null ? {} : {HTTP_PROXY: proxy.href, HTTPS_PROXY: proxy.href},
    }
    if (protocol === 'http:') return new (await import('node:http')).Agent(options)
    const {Agent} = await import('node:https')
    if (this.#options.insecureTls) return new Agent({...options, rejectUnauthorized: false})
    const ca = certificateAuthorities(this.#options.environment, this.#options.debug)
    if (ca === undefined) return new Agent(options)
    // one context for all connections: each would read a hundred certificates again
    const secureContext = process.getBuiltinModule('node:tls').createSecureContext({ca})
    return new Agent({...options, secureContext})
  }

  close(): void {
    for (const agent of this.#agents.values()) {
      agent.then(
        (made) => made.destroy(),
        () => {}, // the request that wanted it has failed
      )
    }
    this.#agents.clear()
  }
}

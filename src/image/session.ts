import type {AcIdentifier} from '../appc/index.ts'
import {sayOrigins} from '../config/index.ts'
import {authorizeBy, type HttpClient, openHttp} from '../http/index.ts'
import {callerEnvironment} from '../native/index.ts'
import type {ImageKey} from '../store/index.ts'
import {type Keystore, openKeystore} from '../trust/index.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'

/** What finding one image, with all that it depends on, shares: the ports, the options, connections and keys. */
export class Session implements Disposable {
  readonly options: FindImageOptions
  readonly ports: ImagePorts
  /** Images that were not in the store before. */
  readonly imported = new Set<ImageKey>()
  #authorize: ReturnType<typeof authorizeBy> | undefined
  #http: HttpClient | undefined
  #keystore: Keystore | undefined
  readonly #parent: Session | undefined

  constructor(ports: ImagePorts, options: FindImageOptions, parent?: Session) {
    this.options = options
    this.ports = ports
    this.#parent = parent
  }

  get http(): HttpClient {
    if (this.#parent !== undefined) return this.#parent.http
    this.#http ??= openHttp({
      debug: (message) => this.say(message),
      environment: this.environment,
      insecureTls: this.options.insecure.tls,
    })
    return this.#http
  }

  /** Of requests for archives and signatures: over https, to the hosts of the configuration. */
  get authorize(): ReturnType<typeof authorizeBy> {
    if (this.#parent !== undefined) return this.#parent.authorize
    this.#authorize ??= authorizeBy(this.ports.config.auth, {shown: sayOrigins((line) => this.say(line))})
    return this.#authorize
  }

  /** The caller's, or a test's. */
  get environment(): Readonly<Record<string, string | undefined>> {
    return this.ports.network?.environment ?? callerEnvironment()
  }

  get keystore(): Keystore {
    const {localConfig, systemConfig} = this.ports.options
    this.#keystore ??= openKeystore({local: localConfig, system: systemConfig})
    return this.#keystore
  }

  /** Signatures count, unless the user said otherwise. */
  get verifies(): boolean {
    return !this.options.insecure.image
  }

  /** Shown with `--debug`. */
  say(message: string): void {
    this.ports.diagnostics.debug('image', message)
  }

  note(message: string): void {
    this.ports.diagnostics.note('image', message)
  }

  /** The same for an image that another needs: what the user said of that one alone does not count. */
  forDependencies(): Session {
    return new Session(this.ports, {...this.options, dependencies: false, render: false, signature: undefined}, this)
  }

  /** Keys that the publisher of a name gives out are offered, before its image is fetched. */
  async discoverKeys(name: AcIdentifier): Promise<void> {
    const {discoverKeyLocations} = await import('../discovery/index.ts')
    const {discoverKeys} = await import('../trust/index.ts')
    const {insecure, print = (line) => process.stdout.write(`${line}\n`)} = this.options
    const {diagnostics, options} = this.ports
    const {http, keystore} = this
    await discoverKeys(
      {
        diagnostics,
        http,
        keystore,
        locate: async (wanted, {allowHttp}) => (await discoverKeyLocations(this.discoveryPorts(allowHttp), wanted)).items,
        print,
      },
      name,
      {insecure, trustKeysFromHttps: options.trustKeysFromHttps},
    )
  }

  discoveryPorts(allowHttp: boolean) {
    const {config, diagnostics, network} = this.ports
    return {allowHttp, auth: config.auth, diagnostics, http: this.http, port: network?.discoveryPort}
  }

  [Symbol.dispose](): void {
    this.#http?.close()
    this.#http = undefined
  }
}

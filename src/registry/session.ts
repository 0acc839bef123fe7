import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import {type HttpClient, type HttpResponse, plainText, type RequestOptions, readBounded, redactUrl} from '../http/index.ts'
import {type Challenge, parseChallenges} from './challenge.ts'
import type {Credentials} from './credentials.ts'
import {refusalError} from './failures.ts'
import {baseUrl} from './scheme.ts'
import {basic, type Credential} from './secret.ts'
import {type TokenRequest, Tokens} from './tokens.ts'

interface SessionOptions {
  readonly credentials: Credentials
  readonly diagnostics: Diagnostics
  readonly host: string
  readonly http: HttpClient
  readonly insecureHttp: boolean
  readonly typedHost: string
}

export interface SessionRequest extends Pick<RequestOptions, 'headers' | 'method' | 'signal'> {
  /** Below `/v2/`. */
  readonly path: string
  readonly repository: string
}

/** What a repository asked for when it was asked first; later requests show it at once. */
type Proof = {readonly kind: 'basic'} | {readonly kind: 'bearer'; readonly request: TokenRequest} | {readonly kind: 'fixed'}

/** How a request was made that got a 401. */
interface Asked {
  readonly isFirst: boolean
  readonly repository: string
  readonly shown: Proof | undefined
}

/** One 401 may ask for a token, a second one for a wider token; a third means no. */
const maxRounds = 2

/** Requests to one registry with whatever it asks for to believe us. */
export class Session {
  readonly #credentials = new Map<string, Promise<Credential | null>>()
  readonly #options: SessionOptions
  readonly #proofs = new Map<string, Proof>()
  readonly #tokens: Tokens
  readonly #warned = new Set<string>()
  #base: Promise<URL> | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    this.#tokens = new Tokens(options.http)
  }

  get host(): string {
    return this.#options.host
  }

  /** The answer, whatever its status is but a 401 that can be answered. */
  async send({headers = {}, method = 'GET', path, repository, signal}: SessionRequest): Promise<HttpResponse> {
    const url = new URL(path, await this.#baseUrl())
    for (let round = 0; ; round++) {
      const proof = this.#proofs.get(repository)
      const authorization = await this.#authorization(proof, repository)
      const response = await this.#options.http.request(url, {
        headers: {...headers, ...(authorization === undefined ? {} : {Authorization: authorization})},
        method,
        ...(signal === undefined ? {} : {signal}),
      })
      this.#heed(response)
      // A storage that a redirect led to cannot ask for our credentials.
      if (response.status !== 401 || response.url.origin !== url.origin || round >= maxRounds) return response
      if (!(await this.#answer(response, {isFirst: round === 0, repository, shown: proof}))) return response
      response.discard()
    }
  }

  /** The failure that `response` is; reads its body. */
  async refusal(response: HttpResponse, repository: string, what: string): Promise<RktError> {
    const body = await readBounded(response, 1 << 16).catch(() => Buffer.alloc(0)) // what it says is extra
    const {headers, requested, status} = response
    const origin = (await this.#credential(repository))?.origin ?? null
    return refusalError({body, host: this.host, origin, requested, retryAfter: headers['retry-after'], status, what})
  }

  #baseUrl(): Promise<URL> {
    const {diagnostics, host, http, insecureHttp} = this.#options
    this.#base ??= baseUrl(http, {diagnostics, host, insecureHttp}).catch((error: unknown) => {
      this.#base = undefined
      throw error
    })
    return this.#base
  }

  #credential(repository: string): Promise<Credential | null> {
    const {credentials, diagnostics, typedHost, host} = this.#options
    let found = this.#credentials.get(repository)
    if (found === undefined) {
      found = credentials.find({host, repository, typedHost}).then((credential) => {
        if (credential !== null) diagnostics.debug('registry', `credentials for ${host}/${repository} come from ${credential.origin}`)
        return credential
      })
      this.#credentials.set(repository, found)
    }
    return found
  }

  async #authorization(proof: Proof | undefined, repository: string): Promise<string | undefined> {
    if (proof === undefined) return undefined
    if (proof.kind === 'bearer') return `Bearer ${(await this.#tokens.token(proof.request)).reveal()}`
    const credential = await this.#credential(repository)
    if (credential?.kind === 'basic') return basic(credential.user, credential.password)
    return credential?.kind === 'bearer' ? `Bearer ${credential.token.reveal()}` : undefined
  }

  /** Learns from a 401 what to show; whether another request is worth it. */
  async #answer({headers, url}: HttpResponse, {isFirst, repository, shown}: Asked): Promise<boolean> {
    const challenges = parseChallenges(headers['www-authenticate'] ?? '')
    const credential = await this.#credential(repository)
    // Another request of the same repository has learnt it meanwhile.
    if (this.#proofs.get(repository) !== shown) return true
    const bearer = challenges.find(({scheme}) => scheme === 'bearer')
    if (bearer !== undefined && credential?.kind === 'bearer') return shown === undefined && this.#learn(repository, {kind: 'fixed'})
    if (bearer !== undefined) {
      const before = shown?.kind === 'bearer' ? shown.request : null
      const request = tokenRequest(bearer, {before, credential, registry: url, repository})
      // A token that was made for this very request, and for no less, will not be better the second time.
      if (!isFirst && before !== null && request.scopes.length === before.scopes.length) return false
      if (before !== null) this.#tokens.forget(before)
      return this.#learn(repository, {kind: 'bearer', request})
    }
    const wantsBasic = challenges.some(({scheme}) => scheme === 'basic') && credential?.kind === 'basic'
    return wantsBasic && shown?.kind !== 'basic' && this.#learn(repository, {kind: 'basic'})
  }

  #learn(repository: string, proof: Proof): true {
    this.#proofs.set(repository, proof)
    return true
  }

  /** Shows each warning once, and what is left of the rate limit. */
  #heed({headers}: HttpResponse): void {
    const {diagnostics, host} = this.#options
    for (const [, quoted = ''] of `${headers.warning ?? ''}`.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)) {
      const text = plainText(quoted.replace(/\\(.)/g, '$1'))
      if (this.#warned.size < 10 && !this.#warned.has(text)) diagnostics.note('registry', `${host} warns: ${text}`)
      this.#warned.add(text)
    }
    const remaining = headers['ratelimit-remaining']
    if (typeof remaining === 'string') diagnostics.debug('registry', `${host}: rate limit, remaining: ${plainText(remaining)}`)
  }
}

interface TokenContext {
  readonly before: TokenRequest | null
  readonly credential: Credential | null
  readonly registry: URL
  readonly repository: string
}

function tokenRequest({parameters}: Challenge, {before, credential, registry, repository}: TokenContext): TokenRequest {
  const refuse = (why: string) => new RktError('RKT_REGISTRY_AUTH', `cannot log in to ${registry.host}`, {cause: new Error(why)})
  const {realm: text = '', scope = '', service} = parameters
  if (text === '') throw refuse('missing realm in bearer auth challenge')
  const realm = URL.parse(text, registry.href)
  if (realm?.protocol !== 'https:' && realm?.protocol !== 'http:')
    throw refuse(`the realm ${JSON.stringify(plainText(text))} is no http URL`)
  if (realm.protocol === 'http:' && registry.protocol === 'https:') {
    throw refuse(`the realm ${redactUrl(realm.origin)} would get the password unencrypted`)
  }
  realm.username = ''
  realm.password = ''
  const asked = scope.split(' ').filter((word) => word !== '')
  const scopes = asked.length > 0 ? asked : [`repository:${repository}:pull`]
  return {credential, realm, scopes: [...new Set([...(before?.scopes ?? []), ...scopes])], service}
}

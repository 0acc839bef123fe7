import {RktError} from '../errors.ts'
import {type HttpClient, type HttpDocument, redactUrl} from '../http/index.ts'
import {registryMessage} from './failures.ts'
import {basic, type Credential, Secret} from './secret.ts'

/** What a token is asked for. */
export interface TokenRequest {
  readonly realm: URL
  readonly service: string | undefined
  readonly scopes: readonly string[]
  readonly credential: Credential | null
}

interface Token {
  readonly secret: Secret
  /** By the clock of this process. */
  readonly expires: number
}

const limit = 1 << 20
const clientId = 'rkt'
/** Tokens live at least so long, whatever a server says (token specification: `expires_in`). */
const shortestLife = 60

/** Tokens of token servers, each asked for once and kept until shortly before it expires. */
export class Tokens {
  readonly #http: HttpClient
  readonly #tokens = new Map<string, Promise<Token>>()

  constructor(http: HttpClient) {
    this.#http = http
  }

  /** @throws RktError RKT_REGISTRY_AUTH */
  async token(request: TokenRequest): Promise<Secret> {
    const key = keyOf(request)
    const known = this.#tokens.get(key)
    if (known !== undefined) {
      const {expires, secret} = await known
      if (Date.now() < expires) return secret
      if (this.#tokens.get(key) === known) this.#tokens.delete(key)
      return await this.token(request)
    }
    const asked = this.#ask(request)
    this.#tokens.set(key, asked)
    try {
      return (await asked).secret
    } catch (error) {
      if (this.#tokens.get(key) === asked) this.#tokens.delete(key)
      throw error
    }
  }

  /** A token that the registry does not take is not offered again. */
  forget(request: TokenRequest): void {
    this.#tokens.delete(keyOf(request))
  }

  async #ask(request: TokenRequest): Promise<Token> {
    const [first, second] = request.credential?.kind === 'identity' ? [this.#post, this.#get] : [this.#get, this.#post]
    let answer = await first.call(this, request)
    const other = answer.status === 404 || answer.status === 405
    // Without credentials there is nothing to post.
    if (other && request.credential !== null) answer = await second.call(this, request)
    return readToken(answer)
  }

  #get({credential, realm, scopes, service}: TokenRequest): Promise<HttpDocument> {
    const url = new URL(realm)
    if (service !== undefined) url.searchParams.set('service', service)
    for (const scope of scopes) url.searchParams.append('scope', scope)
    url.searchParams.set('client_id', clientId)
    const pair = pairOf(credential)
    if (pair !== null) url.searchParams.set('account', pair.user)
    return this.#http.read(url, {headers: {...accept, ...(pair === null ? {} : {Authorization: basic(pair.user, pair.password)})}, limit})
  }

  #post({credential, realm, scopes, service}: TokenRequest): Promise<HttpDocument> {
    const form = new URLSearchParams({client_id: clientId, scope: scopes.join(' ')})
    if (service !== undefined) form.set('service', service)
    if (credential?.kind === 'identity') {
      form.set('grant_type', 'refresh_token')
      form.set('refresh_token', credential.token.reveal())
    } else {
      const pair = pairOf(credential)
      form.set('grant_type', 'password')
      form.set('username', pair?.user ?? '')
      form.set('password', pair?.password.reveal() ?? '')
    }
    const headers = {...accept, 'Content-Type': 'application/x-www-form-urlencoded'}
    return this.#http.read(realm, {body: form.toString(), headers, limit, method: 'POST'})
  }
}

const accept = {Accept: 'application/json'}

const keyOf = ({credential, realm, scopes, service}: TokenRequest): string =>
  JSON.stringify([realm.href, service, [...scopes].sort(), credential?.origin])

/** An identity token serves as a password where the server does not take it otherwise. */
function pairOf(credential: Credential | null): {readonly user: string; readonly password: Secret} | null {
  switch (credential?.kind) {
    case 'basic':
      return credential
    case 'identity':
      return {password: credential.token, user: credential.user || '<token>'}
    default:
      return null
  }
}

function readToken({bytes, requested, status}: HttpDocument): Token {
  const refuse = (why: string) =>
    new RktError('RKT_REGISTRY_AUTH', `no token from ${redactUrl(bare(requested))}`, {
      cause: new Error(why),
      hint: status === 401 || status === 403 ? 'The user or the password for the registry may be wrong.' : undefined,
    })
  if (status === 401) throw refuse(`unable to retrieve auth token: 401 unauthorized${registryMessage(bytes)}`)
  if (status !== 200) throw refuse(`Unexpected HTTP code: ${status}, URL: ${redactUrl(bare(requested))}${registryMessage(bytes)}`)
  let answer: unknown
  try {
    answer = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw refuse('the answer is no JSON') // the parser's own words would quote the token
  }
  const {access_token: access, expires_in: seconds, token} = (answer ?? {}) as Record<string, unknown>
  const text = typeof token === 'string' && token !== '' ? token : access
  if (typeof text !== 'string' || text === '') throw refuse('the answer holds no token')
  if (!/^[\x21-\x7e]+$/.test(text)) throw refuse('the token holds characters that no token has')
  const life = Math.max(shortestLife, typeof seconds === 'number' && Number.isFinite(seconds) ? seconds : shortestLife)
  // Measured from the answer's coming by our own clock: the server's may be wrong. Renewed before the last moment.
  return {expires: Date.now() + Math.max(life * 0.9, life - 30) * 1000, secret: new Secret(text)}
}

function bare(url: URL): URL {
  const shown = new URL(url)
  shown.search = ''
  return shown
}

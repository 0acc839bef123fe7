import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import type {HttpClient} from '../http/index.ts'

interface SchemeOptions {
  readonly diagnostics: Diagnostics
  readonly host: string
  /** The user allowed plain http. */
  readonly insecureHttp: boolean
}

/**
 * Where the API of a registry begins. It is https, unless that fails and plain http was allowed, or the registry is this machine;
 * then http, if a registry answers there.
 */
export async function baseUrl(http: HttpClient, {diagnostics, host, insecureHttp}: SchemeOptions): Promise<URL> {
  const secure = new URL(`https://${host}/v2/`)
  if (!insecureHttp && !isLocal(secure.hostname)) return secure
  const failure = await probe(http, secure)
  if (failure === null) return secure
  // A certificate that is not trusted is no reason to do without one, unless the user said so.
  if (!insecureHttp && failure instanceof RktError && failure.code === 'RKT_HTTP_CERTIFICATE') throw failure
  const plain = new URL(`http://${host}/v2/`)
  const second = await probe(http, plain)
  if (second !== null) {
    // Somebody is there who speaks no TLS, and is no registry.
    if (second === 'no registry' && failure instanceof RktError && failure.code === 'RKT_HTTP_TLS') throw noRegistry(host)
    // An https server that answered something else is asked all the same, and says what is wrong.
    if (failure instanceof RktError) throw failure
    return secure
  }
  diagnostics.debug('registry', `${host} is asked over plain http`)
  return plain
}

function noRegistry(host: string): RktError {
  return new RktError('RKT_REGISTRY_NONE', `${host} is no registry`, {
    cause: new Error("registry doesn't support API v2 nor v1"),
    hint: 'Look at the name of the host, and at its port.',
  })
}

/** Null when a registry answers there. */
async function probe(http: HttpClient, url: URL): Promise<RktError | 'no registry' | null> {
  try {
    const response = await http.request(url, {attempts: 1})
    response.discard()
    return response.status === 200 || response.status === 401 ? null : 'no registry'
  } catch (error) {
    if (error instanceof RktError) return error
    throw error
  }
}

const isLocal = (hostname: string): boolean => hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)

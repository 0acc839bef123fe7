import {
  addKeys,
  discoverKeyLocations,
  type Engine,
  locateKeys,
  openHttp,
  openKeystore,
  openpgpKeys,
  openSigstoreKeystore,
  parseImageString,
  RktError,
  sigstoreKeys,
} from '@rkt/engine'

export interface TrustRequest {
  /** Over plain http, keys may be looked for and taken. */
  readonly allowHttp: boolean
  readonly kind: 'openpgp' | 'sigstore'
  /** Where the keys lie; where there are none, the publisher of the prefix is asked. */
  readonly locations: readonly string[]
  /** Null for every name. */
  readonly prefix: string | null
  readonly print: (line: string) => void
  readonly skipFingerprintReview: boolean
}

/** Adds keys to the keystore of the local configuration. */
export async function trustKeys(engine: Pick<Engine, 'config' | 'diagnostics' | 'options'>, request: TrustRequest): Promise<void> {
  const {diagnostics, options} = engine
  const {insecure, localConfig: local, systemConfig: system, trustKeysFromHttps} = options
  using http = openHttp({
    debug: (message) => diagnostics.debug('pubkey', message),
    environment: process.env,
    insecureTls: insecure.tls,
  })
  const {allowHttp, kind, prefix, print, skipFingerprintReview} = request
  const locations = request.locations.length > 0 ? request.locations : await locate(engine, http, request)
  const directories = {local, system}
  const keys = kind === 'openpgp' ? openpgpKeys(openKeystore(directories)) : sigstoreKeys(openSigstoreKeystore(directories))
  const review = {skipFingerprintReview, trustKeysFromHttp: insecure.pubkey, trustKeysFromHttps}
  try {
    await addKeys({diagnostics, http, keys, print}, {allowHttp, locations, prefix, ...review})
  } catch (cause) {
    throw renamed('error adding keys', cause)
  }
}

async function locate(
  {config, diagnostics}: Pick<Engine, 'config' | 'diagnostics'>,
  http: ReturnType<typeof openHttp>,
  {allowHttp, prefix}: TrustRequest,
): Promise<readonly string[]> {
  try {
    if (prefix === null) throw new RktError('RKT_BAD_PREFIX', 'empty prefix')
    const ports = {allowHttp, auth: config.auth, diagnostics, http}
    const find = async (name: string) => (await discoverKeyLocations(ports, name)).items
    return await locateKeys({locate: find}, parseImageString(prefix).name, allowHttp)
  } catch (cause) {
    throw renamed('error determining key location', cause, 'Give the file or the https URL of a key.')
  }
}

/** The command's sentence in front of a failure, which keeps its code and what to do next. */
function renamed(message: string, cause: unknown, hint?: string): RktError {
  if (!(cause instanceof RktError)) throw cause
  return new RktError(cause.code, message, {cause, hint: cause.hint ?? hint})
}

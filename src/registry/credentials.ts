import {type BasicCredentials, fileOf} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import {type AuthFile, readAuthFile} from './auth-file.ts'
import {askHelper} from './credential-helper.ts'
import {type Credential, Secret} from './secret.ts'

export interface CredentialsOptions {
  /** Of our own configuration, by the registry as it is typed; wins. */
  readonly dockerAuth: ReadonlyMap<string, BasicCredentials>
  /** The caller's: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `HOME`, `XDG_RUNTIME_DIR`, and what helpers need. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly diagnostics: Diagnostics
  /** Who asks; the effective user of this process by default. */
  readonly uid?: number
}

export interface CredentialQuery {
  /** `registry-1.docker.io`, `quay.io` … */
  readonly host: string
  readonly typedHost: string
  readonly repository: string
}

export interface Credentials {
  /** The credential for a repository, or null; the longest prefix of its name that a file knows decides. */
  find(query: CredentialQuery): Promise<Credential | null>
}

/**
 * Credentials for registries: `dockerAuth` of our configuration, then the files of other programs, of which the first that knows the
 * registry decides. The files are read when they are first needed.
 */
export function openCredentials({diagnostics, dockerAuth, environment, uid = process.geteuid?.() ?? 0}: CredentialsOptions): Credentials {
  let files: readonly AuthFile[] | undefined
  return {
    async find(query) {
      const own = dockerAuth.get(query.typedHost)
      if (own !== undefined) {
        return {kind: 'basic', origin: fileOf(own) ?? 'the dockerAuth files of rkt', password: new Secret(own.password), user: own.user}
      }
      files ??= authFilePaths(environment).flatMap((path) => readAuthFile(path, {diagnostics, uid}) ?? [])
      const keys = keysOf(query)
      for (const file of files) {
        const found = await fromFile(file, keys, {diagnostics, environment, query, uid})
        if (found !== null) return found
      }
      return null
    },
  }
}

/** The file that the caller names first; then Docker's, then the one that podman, skopeo and buildah write. */
function authFilePaths({DOCKER_CONFIG, HOME, REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR}: CredentialsOptions['environment']): string[] {
  const docker = DOCKER_CONFIG || (HOME ? `${HOME}/.docker` : '')
  return [
    ...(REGISTRY_AUTH_FILE ? [REGISTRY_AUTH_FILE] : []),
    ...(docker ? [`${docker}/config.json`] : []),
    ...(XDG_RUNTIME_DIR ? [`${XDG_RUNTIME_DIR}/containers/auth.json`] : []),
  ].filter((path) => path.startsWith('/'))
}

const hubHost = 'registry-1.docker.io'
/** Names under which files know Docker Hub. */
const hubNames = ['docker.io', 'index.docker.io', hubHost]

/** What files may know a repository by, the longest first: `HOST/a/b`, `HOST/a`, `HOST`. */
function keysOf({host, repository}: CredentialQuery): string[] {
  const parts = repository.split('/')
  const paths = parts.map((_, at) => `/${parts.slice(0, parts.length - at).join('/')}`)
  return [...paths, ''].flatMap((path) => (host === hubHost ? hubNames : [host.toLowerCase()]).map((name) => `${name}${path}`))
}

interface Look {
  readonly diagnostics: Diagnostics
  readonly environment: CredentialsOptions['environment']
  readonly query: CredentialQuery
  readonly uid: number
}

/** Within a file a helper for the registry comes before what is written there, and that before the store for everything. */
async function fromFile(file: AuthFile, keys: readonly string[], look: Look): Promise<Credential | null> {
  for (const key of keys) {
    const helper = file.helpers.get(key)
    const asked = helper === undefined ? null : await ask(file, helper, key, look)
    const found = asked ?? file.credentials.get(key) ?? null
    if (found !== null) return found
  }
  return file.store === null ? null : await ask(file, file.store, look.query.host, look)
}

function ask(file: AuthFile, helper: string, key: string, {diagnostics, environment, uid}: Look): Promise<Credential | null> {
  const server = hubNames.includes(key) ? 'https://index.docker.io/v1/' : key
  return askHelper(helper, server, {diagnostics, environment, origin: file.path, uid})
}

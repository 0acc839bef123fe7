import {RktError} from '../errors.ts'
import {type Digest, parseDigest} from './digest.ts'

/** A reference to an image of a registry, normalised as Docker does; a digest decides over a tag. */
export interface DockerReference {
  /** `registry-1.docker.io`, `quay.io`, `localhost:5000` … */
  readonly host: string
  /** `library/busybox` … */
  readonly repository: string
  readonly tag: string | null
  readonly digest: Digest | null
  /** As it was typed behind `docker://`. */
  readonly typed: string
}

const dockerHub = 'registry-1.docker.io'
const hubNames = new Set(['docker.io', 'index.docker.io', dockerHub])
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`)
const hostPattern = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[\da-fA-F:]+\])(?::\d{1,5})?$/
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/**
 * Reads `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`: the part before the first `/` is a host if it holds `.` or `:`, an upper-case letter or
 * is `localhost`.
 * @throws RktError RKT_BAD_IMAGE_REFERENCE
 */
export function parseDockerReference(typed: string): DockerReference {
  const refuse = (why: string, cause?: unknown) =>
    new RktError('RKT_BAD_IMAGE_REFERENCE', `invalid docker URL ${JSON.stringify(`docker://${typed}`)}; ${syntax}`, {
      cause: cause ?? new Error(why),
    })
  if (typed.length > 1024) throw refuse('the reference is longer than 1024 characters')
  const [named = '', ...digests] = typed.split('@')
  if (digests.length > 1) throw refuse('more than one digest')
  const ownHost = hostPart(named)
  const first = ownHost ?? dockerHub
  const rest = ownHost === null ? named : named.slice(ownHost.length + 1)
  if (!hostPattern.test(first)) throw refuse(`"${first}" is no host`)
  const colon = rest.lastIndexOf(':')
  const path = colon < 0 ? rest : rest.slice(0, colon)
  const tag = colon < 0 ? null : rest.slice(colon + 1)
  if (tag !== null && !tagPattern.test(tag)) throw refuse(`"${tag}" is no tag`)
  const host = hubNames.has(first) ? dockerHub : first
  const repository = host === dockerHub && !path.includes('/') ? `library/${path}` : path
  if (!repositoryPattern.test(repository)) throw refuse(`"${path}" is no name of an image`)
  if (digests.length === 0) return {digest: null, host, repository, tag: tag ?? 'latest', typed}
  try {
    return {digest: parseDigest(digests[0] ?? ''), host, repository, tag: null, typed}
  } catch (cause) {
    throw refuse('', cause)
  }
}

/** What stands before the first `/`, if it is a host. */
function hostPart(named: string): string | null {
  const [first = '', ...rest] = named.split('/')
  return rest.length > 0 && (first === 'localhost' || /[.:A-Z]/.test(first)) ? first : null
}

/** The host as it was typed, which credentials are kept under (`docker.io` stays that); Docker Hub's where none was. */
export function typedHost({typed}: Pick<DockerReference, 'typed'>): string {
  return hostPart(typed) ?? dockerHub
}

const syntax = 'expected syntax is "docker://[REGISTRY_HOST[:REGISTRY_PORT]/]IMAGE_NAME[:TAG]"'

/** Everything spelled out: `registry-1.docker.io/library/busybox:latest`; two references are the same image if these are equal. */
export function fullReference({digest, host, repository, tag}: Omit<DockerReference, 'typed'>): string {
  return `${host}/${repository}${digest === null ? `:${tag}` : `@${digest}`}`
}

/** The short form for people: Docker Hub, `library/` and `:latest` left out. */
export function formatReference({digest, host, repository, tag}: Omit<DockerReference, 'typed'>): string {
  const name = host === dockerHub ? repository.replace(/^library\/(?=[^/]+$)/, '') : `${host}/${repository}`
  return `${name}${digest === null ? (tag === 'latest' ? '' : `:${tag}`) : `@${digest}`}`
}

/** Where the API of a registry answers. */
export function apiHost(host: string): string {
  return hubNames.has(host) ? dockerHub : host
}

import {
  AC_VERSION,
  type AcName,
  type Annotation,
  type App,
  type EnvironmentVariable,
  type ImageManifest,
  type Label,
  type MountPoint,
  type Port,
  parseAcIdentifier,
  sanitizeAcIdentifier,
  sanitizeAcName,
} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {Digest} from './digest.ts'
import type {ImageConfig} from './documents.ts'

/** What the view says of where the image came from. */
export interface ImageIdentity {
  readonly host: string
  readonly repository: string
  readonly tag: string | null
  /** The reference as it was typed. */
  readonly typed: string
  readonly manifestDigest: Digest
  /** Digest of the topmost layer, absent for an image without layers. */
  readonly topLayer?: Digest | undefined
}

const appcArchitectures: Readonly<Record<string, string>> = {
  '386': 'i386',
  amd64: 'amd64',
  arm64: 'aarch64',
  ppc64: 'ppc64',
  ppc64le: 'ppc64le',
  s390x: 's390x',
}

/**
 * The appc manifest that an OCI or Docker image stands for (fetch-and-trust, "Resulting image manifest"): what pods are made from.
 * It depends on the config and the identity alone, so it is the same each time it is derived.
 */
export function appcView(config: ImageConfig, identity: ImageIdentity): ImageManifest {
  return {
    acKind: 'ImageManifest',
    acVersion: AC_VERSION,
    annotations: annotations(config, identity),
    ...(config.hasProcess ? {app: app(config)} : {}),
    labels: labels(config, identity),
    name: sanitizeAcIdentifier(`${identity.host}/${identity.repository}`),
  }
}

function labels({architecture, os, variant}: ImageConfig, {tag}: ImageIdentity): readonly Label[] {
  const arch =
    architecture === 'arm'
      ? variant === 'v7' || variant === '7'
        ? 'armv7l'
        : 'armv6l'
      : Object.hasOwn(appcArchitectures, architecture)
        ? appcArchitectures[architecture]
        : undefined
  return [
    ...(arch === undefined ? [] : [{name: parseAcIdentifier('arch'), value: arch}]),
    {name: parseAcIdentifier('os'), value: os},
    ...(tag === null ? [] : [{name: parseAcIdentifier('version'), value: tag}]),
  ]
}

function annotations(config: ImageConfig, {host, manifestDigest, repository, topLayer, typed}: ImageIdentity): readonly Annotation[] {
  const json = (words: readonly string[]) => (words.length === 0 ? '' : JSON.stringify(words))
  const all: readonly (readonly [string, string])[] = [
    ['author', config.author],
    ['created', isDate(config.created) ? config.created : ''],
    ['appc.io/docker/originalname', typed],
    ['appc.io/docker/registryurl', host],
    ['appc.io/docker/repository', repository],
    ['appc.io/docker/imageid', topLayer ?? ''],
    ['appc.io/docker/manifesthash', manifestDigest],
    ['appc.io/docker/entrypoint', json(config.entrypoint)],
    ['appc.io/docker/cmd', json(config.cmd)],
  ]
  return all.filter(([, value]) => value !== '').map(([name, value]) => ({name: parseAcIdentifier(name), value}))
}

/** A manifest refuses a `created` that is no RFC 3339 date; a config may hold anything. */
const isDate = (text: string): boolean =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))

function app(config: ImageConfig): App {
  const [user = '', group] = splitUser(config.user)
  return {
    environment: environment(config.env),
    exec: [...config.entrypoint, ...config.cmd],
    group: group ?? (user || '0'),
    mountPoints: mountPoints(config.volumes),
    ports: ports(config.exposedPorts),
    user: user || '0',
    ...(config.workingDir.startsWith('/') ? {workingDirectory: config.workingDir} : {}),
  }
}

function splitUser(text: string): readonly [string, string | undefined] {
  const colon = text.indexOf(':')
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1) || undefined]
}

/** Entries without `=` and names that no manifest may hold are dropped; of equal names the later value takes the first place. */
function environment(entries: readonly string[]): readonly EnvironmentVariable[] {
  const variables = new Map<string, string>()
  for (const entry of entries) {
    const equals = entry.indexOf('=')
    if (equals > 0 && /^[A-Za-z_][A-Za-z_0-9.-]*$/.test(entry.slice(0, equals)))
      variables.set(entry.slice(0, equals), entry.slice(equals + 1))
  }
  return [...variables].map(([name, value]) => ({name, value}))
}

function ports(keys: readonly string[]): readonly Port[] {
  const list = keys.map((key) => {
    const [, number = '', protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(key) ?? []
    const port = Number(number)
    if (port < 1 || port > 65535) throw new RktError('RKT_OCI_DOCUMENT_INVALID', `error parsing port ${JSON.stringify(key.slice(0, 100))}`)
    return {count: 1, name: sanitizeAcName(key), port, protocol, socketActivated: false}
  })
  return list.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function mountPoints(paths: readonly string[]): readonly MountPoint[] {
  const taken = new Set<AcName>()
  const list = paths.map((path) => {
    const base = sanitizeAcName(`volume-${path}`.replaceAll('-/', '-'))
    let name = base
    for (let suffix = 1; taken.has(name); suffix++) name = sanitizeAcName(`${base}-${suffix}`)
    taken.add(name)
    return {name, path}
  })
  return list.sort((a, b) => (a.name < b.name ? -1 : 1))
}

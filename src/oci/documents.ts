import {RktError} from '../errors.ts'
import {type Digest, parseDigest} from './digest.ts'
import {isIndexType, isManifestType, mediaTypes} from './media-types.ts'

/** A descriptor (OCI image specification, "Content Descriptors"). `size` is the exact length of the content in bytes. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  readonly annotations: Readonly<Record<string, string>>
  readonly artifactType?: string
  readonly platform?: Platform
  readonly urls: readonly string[]
}

/** In Go's words: `linux`, `amd64`, `v7`. */
export interface Platform {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
  readonly osFeatures?: readonly string[]
}

export interface OciManifest {
  readonly kind: 'manifest'
  readonly mediaType: string
  readonly artifactType?: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export interface ImageIndex {
  readonly kind: 'index'
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export type Document = ImageIndex | OciManifest

export interface ImageConfig {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
  readonly author: string
  readonly created: string
  readonly diffIds: readonly Digest[]
  readonly user: string
  readonly env: readonly string[]
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly exposedPorts: readonly string[]
  readonly volumes: readonly string[]
  readonly workingDir: string
  readonly labels: Readonly<Record<string, string>>
  readonly stopSignal: string
  /** Whether the config has a `config` object at all. */
  readonly hasProcess: boolean
}

/** A document larger than this is refused before it is parsed. */
export const maxDocument = 8 * 1024 * 1024
const maxLayers = 1000

/**
 * Reads a manifest or an index. `expectedType` is what the descriptor or the registry called it; the document's own `mediaType` must
 * not contradict it.
 * @throws RktError RKT_OCI_DOCUMENT_INVALID naming the field and `what`
 */
export function parseDocument(bytes: Uint8Array, expectedType: string | null, what: string): Document {
  const reader = new Reader(bytes, what)
  const root = reader.root()
  const own = reader.optionalString(root, 'mediaType')
  const expected = expectedType?.split(';')[0]?.trim().toLowerCase() ?? null
  if (expected !== null && (mediaTypes.schema1 as readonly string[]).includes(expected)) throw schema1(what)
  if ('fsLayers' in root) throw schema1(what)
  if ('manifests' in root && ('config' in root || 'layers' in root))
    throw reader.invalid('', 'claims to be a manifest and an index at once')
  if (own !== undefined && expected !== null && own !== expected && (isIndexType(expected) || isManifestType(expected))) {
    throw reader.invalid('mediaType', `is "${own}" where "${expected}" was announced`)
  }
  if (root.schemaVersion !== 2) throw reader.invalid('schemaVersion', 'is not 2')
  const looks = 'manifests' in root ? mediaTypes.index[0] : mediaTypes.manifest[0]
  const mediaType = own ?? (expected !== null && (isIndexType(expected) || isManifestType(expected)) ? expected : looks)
  const annotations = reader.strings(root, 'annotations')
  if (isIndexType(mediaType)) {
    return {annotations, kind: 'index', manifests: reader.descriptors(root, 'manifests'), mediaType}
  }
  if (!isManifestType(mediaType)) throw reader.invalid('mediaType', `is "${mediaType}", which is no image`)
  const layers = reader.descriptors(root, 'layers')
  if (layers.length > maxLayers) throw reader.invalid('layers', `has more than ${maxLayers} entries`)
  const artifactType = reader.optionalString(root, 'artifactType')
  const config = reader.descriptor(reader.object(root.config, 'config'), 'config')
  return {annotations, ...(artifactType === undefined ? {} : {artifactType}), config, kind: 'manifest', layers, mediaType}
}

function schema1(what: string): RktError {
  return new RktError('RKT_OCI_SCHEMA1', `${what} is a manifest of Docker's schema 1, which registries gave up`, {
    hint: 'Push the image again with a current client.',
  })
}

/**
 * Reads an image's config.
 * @throws RktError RKT_OCI_DOCUMENT_INVALID
 */
export function parseConfig(bytes: Uint8Array, what: string): ImageConfig {
  const reader = new Reader(bytes, what)
  const root = reader.root()
  const rootfs = reader.object(root.rootfs, 'rootfs')
  if (rootfs.type !== 'layers') throw reader.invalid('rootfs.type', 'is not "layers"')
  const diffIds = reader.list(rootfs.diff_ids, 'rootfs.diff_ids').map((id, at) => reader.digest(id, `rootfs.diff_ids[${at}]`))
  const process = root.config === undefined || root.config === null ? null : reader.object(root.config, 'config')
  const of = process ?? {}
  const variant = reader.optionalString(root, 'variant')
  return {
    architecture: reader.string(root, 'architecture'),
    author: reader.optionalString(root, 'author') ?? '',
    cmd: reader.words(of, 'Cmd'),
    created: reader.optionalString(root, 'created') ?? '',
    diffIds,
    entrypoint: reader.words(of, 'Entrypoint'),
    env: reader.words(of, 'Env'),
    exposedPorts: Object.keys(reader.optionalObject(of, 'ExposedPorts')).sort(),
    hasProcess: process !== null,
    labels: reader.strings(of, 'Labels'),
    os: reader.string(root, 'os'),
    stopSignal: reader.optionalString(of, 'StopSignal') ?? '',
    user: reader.optionalString(of, 'User') ?? '',
    ...(variant === undefined ? {} : {variant}),
    volumes: Object.keys(reader.optionalObject(of, 'Volumes')).sort(),
    workingDir: reader.optionalString(of, 'WorkingDir') ?? '',
  }
}

type Json = Readonly<Record<string, unknown>>

/** Reads fields of one hostile document; each failure names the field and the document. */
class Reader {
  readonly #bytes: Uint8Array
  readonly #what: string

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  invalid(field: string, why: string, cause?: unknown): RktError {
    return new RktError('RKT_OCI_DOCUMENT_INVALID', `${this.#what} is not valid: ${field === '' ? 'it' : field} ${why}`, {cause})
  }

  root(): Json {
    if (this.#bytes.length > maxDocument) throw this.invalid('', `is larger than ${maxDocument} bytes`)
    try {
      return this.object(JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(this.#bytes)), 'the document')
    } catch (cause) {
      if (cause instanceof RktError) throw cause
      throw this.invalid('', 'is no JSON', cause)
    }
  }

  object(value: unknown, field: string): Json {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
    throw this.invalid(field, 'is not an object')
  }

  optionalObject(of: Json, key: string): Json {
    const value = of[key]
    return value === undefined || value === null ? {} : this.object(value, key)
  }

  list(value: unknown, field: string): readonly unknown[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value)) return value
    throw this.invalid(field, 'is not a list')
  }

  string(of: Json, key: string): string {
    const value = of[key]
    if (typeof value === 'string') return value
    throw this.invalid(key, 'is not a string')
  }

  optionalString(of: Json, key: string): string | undefined {
    const value = of[key]
    return value === undefined || value === null ? undefined : this.string(of, key)
  }

  words(of: Json, key: string): readonly string[] {
    return this.list(of[key], key).map((word, at) => {
      if (typeof word === 'string' && !word.includes('\0')) return word
      throw this.invalid(`${key}[${at}]`, 'is not a string')
    })
  }

  strings(of: Json, key: string): Readonly<Record<string, string>> {
    const entries = Object.entries(this.optionalObject(of, key)).map(([name, value]) => {
      if (typeof value === 'string') return [name, value] as const
      throw this.invalid(`${key}.${name}`, 'is not a string')
    })
    return Object.fromEntries(entries)
  }

  digest(value: unknown, field: string): Digest {
    try {
      return parseDigest(String(value))
    } catch (cause) {
      throw this.invalid(field, 'is not a digest', cause)
    }
  }

  descriptors(of: Json, key: string): readonly Descriptor[] {
    return this.list(of[key], key).map((entry, at) => this.descriptor(this.object(entry, `${key}[${at}]`), `${key}[${at}]`))
  }

  descriptor(of: Json, field: string): Descriptor {
    const size = of.size
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw this.invalid(`${field}.size`, 'is not a length')
    const artifactType = this.optionalString(of, 'artifactType')
    return {
      annotations: this.strings(of, 'annotations'),
      ...(artifactType === undefined ? {} : {artifactType}),
      digest: this.digest(of.digest, `${field}.digest`),
      mediaType: this.string(of, 'mediaType'),
      ...this.#platform(of.platform, field),
      size,
      urls: this.words(of, 'urls'),
    }
  }

  #platform(value: unknown, field: string): {platform?: Platform} {
    if (value === undefined || value === null) return {}
    const of = this.object(value, `${field}.platform`)
    const variant = this.optionalString(of, 'variant')
    const osFeatures = this.words(of, 'os.features')
    return {
      platform: {
        architecture: this.string(of, 'architecture'),
        os: this.string(of, 'os'),
        ...(osFeatures.length === 0 ? {} : {osFeatures}),
        ...(variant === undefined ? {} : {variant}),
      },
    }
  }
}

import type {ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {
  appcView,
  type Digest,
  type ImageConfig,
  type ImageIdentity,
  type OciManifest,
  parseConfig,
  parseDigest,
  parseDocument,
} from '../oci/index.ts'

/** A layer as an image's record has it. */
export interface OciLayer {
  readonly digest: Digest
  readonly diffId: Digest
  readonly size: number
  readonly mediaType: string
}

/** What the record of an OCI image says beside what every image's does. */
export interface OciRecord {
  readonly manifest: Digest
  readonly config: Digest
  /** The index through which it was chosen. */
  readonly index?: Digest
  readonly mediaType: string
  /** Base first. */
  readonly layers: readonly OciLayer[]
}

/** Reads the part of a sidecar; group members write there, so it is looked at like anything from outside. */
export function decodeOciRecord(value: unknown): OciRecord {
  const {config, index, layers, manifest, mediaType} = record(value)
  if (typeof mediaType !== 'string' || !Array.isArray(layers)) throw new Error('oci is not a record of an image')
  return {
    config: parseDigest(String(config)),
    ...(index === undefined ? {} : {index: parseDigest(String(index))}),
    layers: layers.map(decodeLayer),
    manifest: parseDigest(String(manifest)),
    mediaType,
  }
}

function decodeLayer(value: unknown): OciLayer {
  const {diffId, digest, mediaType, size} = record(value)
  if (typeof mediaType !== 'string' || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new Error('a layer is none')
  return {diffId: parseDigest(String(diffId)), digest: parseDigest(String(digest)), mediaType, size}
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Error('not an object')
}

/** Documents of one image whose bytes were hashed, and what follows from them. */
export interface OciDocuments {
  readonly manifest: OciManifest
  readonly config: ImageConfig
  readonly layers: readonly OciLayer[]
  readonly view: ImageManifest
}

/** Reads manifest and config, which must fit each other. `what` names the image. */
export function readDocuments(
  manifestBytes: Uint8Array,
  mediaType: string | null,
  configBytes: Uint8Array,
  identity: ImageIdentity,
  what: string,
): OciDocuments {
  const manifest = parseDocument(manifestBytes, mediaType, `the manifest of ${what}`)
  if (manifest.kind !== 'manifest') throw new RktError('RKT_OCI_DOCUMENT_INVALID', `the manifest of ${what} is an index`)
  const config = parseConfig(configBytes, `the config of ${what}`)
  if (config.diffIds.length !== manifest.layers.length) {
    const counts = `${config.diffIds.length} DiffIDs for ${manifest.layers.length} layers`
    throw new RktError('RKT_OCI_DOCUMENT_INVALID', `the config of ${what} is not valid: rootfs.diff_ids has ${counts}`)
  }
  const layers = manifest.layers.map(({digest, mediaType: type, size}, at) => ({
    diffId: config.diffIds[at] as Digest,
    digest,
    mediaType: type,
    size,
  }))
  return {config, layers, manifest, view: appcView(config, identity)}
}

import {RktError} from '../errors.ts'
import {choosePlatform, type Descriptor, type Digest, type ImageConfig, mediaTypes, type Platform, parseConfig} from '../oci/index.ts'
import type {RegistryDocument, RegistryImage, Repository, TagOrDigest} from './types.ts'

const maxIndexes = 3
const configLimit = 8 * 1024 * 1024

/** Where an image's documents come from: a repository, or files. What it gives was verified. */
export type DocumentSource = Pick<Repository, 'document' | 'resolve' | 'smallBlob'>

export interface Choice {
  /** How messages call the image. */
  readonly name: string
  readonly platform: Platform
  readonly reference: TagOrDigest
}

/** Follows a reference to the image for a platform, and reads its config. */
export async function chooseImage(source: DocumentSource, {name, platform, reference}: Choice): Promise<RegistryImage> {
  const indexes: RegistryDocument[] = []
  let found = await source.resolve(reference)
  while (found.document.kind === 'index') {
    if (indexes.length === maxIndexes) {
      throw new RktError('RKT_OCI_DOCUMENT_INVALID', `${name} is an index of indexes, more than ${maxIndexes} deep`)
    }
    indexes.push(found)
    found = await source.document(choosePlatform(found.document, platform, name))
  }
  const {document} = found
  const {config: descriptor, layers} = document
  if (!(mediaTypes.config as readonly string[]).includes(descriptor.mediaType)) {
    throw new RktError('RKT_OCI_NO_IMAGE', `${name} is no image that can run`, {
      cause: new Error(`its config is of the type ${JSON.stringify(document.artifactType ?? descriptor.mediaType)}`),
    })
  }
  const bytes = await source.smallBlob(descriptor, configLimit)
  const image = parseConfig(bytes, `the config of ${name}`)
  if (image.diffIds.length !== layers.length) {
    throw new RktError('RKT_OCI_DOCUMENT_INVALID', `the config of ${name} is not valid`, {
      cause: new Error(`it has ${image.diffIds.length} diff IDs for ${layers.length} layers`),
    })
  }
  checkPlatform(image, platform, name)
  return {config: {bytes, digest: descriptor.digest, image}, indexes, layers, manifest: {...found, document}}
}

/**
 * Refuses an image for another platform. An index may be wrong about an image, and a manifest stands alone: the config says what it
 * is for.
 */
export function checkPlatform(
  {architecture, os, variant}: Pick<ImageConfig, 'architecture' | 'os' | 'variant'>,
  platform: Platform,
  name: string,
): void {
  const own = {annotations: {}, digest: unused, mediaType: mediaTypes.manifest[0], size: 0, urls: []}
  const entry: Descriptor = {...own, platform: {architecture, os, ...(variant === undefined ? {} : {variant})}}
  choosePlatform({annotations: {}, kind: 'index', manifests: [entry], mediaType: mediaTypes.index[0]}, platform, name)
}

const unused: Digest = `sha256:${'0'.repeat(64)}`

import {RktError} from '../errors.ts'
import {
  type Descriptor,
  type Digest,
  digestOf,
  type ImageIndex,
  isIndexType,
  isManifestType,
  maxDocument,
  parseDigest,
  parseDocument,
} from '../oci/index.ts'
import type {DocumentSource, RegistryDocument} from '../registry/index.ts'
import type {SignatureSource} from '../trust/index.ts'
import {type ImageFiles, readImageFile} from './image-files.ts'

const refName = 'org.opencontainers.image.ref.name'
const containerdName = 'io.containerd.image.name'

/** An OCI image layout ("Image Layout" of the specification): documents and blobs under their digests, and an index of the images. */
export class LayoutSource implements DocumentSource, SignatureSource {
  readonly index: ImageIndex
  readonly #files: ImageFiles
  readonly #path: string

  private constructor(files: ImageFiles, path: string, index: ImageIndex) {
    this.#files = files
    this.#path = path
    this.index = index
  }

  static async read(files: ImageFiles, path: string): Promise<LayoutSource> {
    const invalid = (why: string, cause?: unknown) =>
      new RktError('RKT_OCI_LAYOUT_INVALID', `${path} is no OCI image layout: ${why}`, {cause})
    const marker = await readImageFile(files, 'oci-layout', 4096)
    if (marker === null) throw invalid('it has no file oci-layout')
    if (versionOf(marker)?.startsWith('1.') !== true) throw invalid('its file oci-layout does not name version 1')
    const bytes = await readImageFile(files, 'index.json', maxDocument)
    if (bytes === null) throw invalid('it has no file index.json')
    const document = parseDocument(bytes, null, `index.json of ${path}`)
    if (document.kind !== 'index') throw invalid('its index.json is a manifest')
    return new LayoutSource(files, path, document)
  }

  /** The images that the index names; signatures and the like are none. */
  get images(): readonly Descriptor[] {
    return this.index.manifests.filter(
      ({annotations, artifactType, mediaType}) =>
        (isManifestType(mediaType) || isIndexType(mediaType)) &&
        artifactType === undefined &&
        !/^(?:.*:)?sha256-[\da-f]{64}(?:\.(?:sig|att|sbom))?$/.test(annotations[refName] ?? '') &&
        !(annotations.kind ?? '').startsWith('dev.cosignproject.cosign/'),
    )
  }

  async resolve({digest}: {readonly digest: Digest | null}): Promise<RegistryDocument> {
    const descriptor = this.index.manifests.find((entry) => entry.digest === digest)
    if (descriptor === undefined) throw new RktError('RKT_IMAGE_NOT_FOUND', `${this.#path} has no image ${digest}`)
    return await this.document(descriptor)
  }

  async document(
    descriptor: Pick<Descriptor, 'digest' | 'mediaType'> & Partial<Pick<Descriptor, 'size'>>,
  ): Promise<RegistryDocument & {readonly bytes: Buffer}> {
    const {digest, mediaType} = descriptor
    const bytes = await this.smallBlob(descriptor, maxDocument)
    return {bytes, digest, document: parseDocument(bytes, mediaType, `the manifest ${digest} of ${this.#path}`), mediaType}
  }

  async smallBlob({digest, size}: Pick<Descriptor, 'digest'> & Partial<Pick<Descriptor, 'size'>>, limit: number): Promise<Buffer> {
    const file = this.blob(digest)
    if (file.size > limit) throw this.#damaged(digest, `it has ${file.size} bytes, more than the ${limit} that it may have`)
    if (size !== undefined && file.size !== size) throw this.#damaged(digest, `it has ${file.size} bytes, not ${size}`)
    const chunks: Buffer[] = []
    for await (const chunk of file.body()) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const actual = digestOf(bytes, digest)
    if (actual !== digest) throw this.#damaged(digest, `its digest is ${actual}`)
    return bytes
  }

  /** A blob as it lies there: verified by who takes its bytes. */
  blob(digest: Digest): {readonly size: number; body(): AsyncGenerator<Buffer>} {
    const file = this.#files.open(`blobs/${parseDigest(digest).replace(':', '/')}`)
    if (file === null) throw new RktError('RKT_OCI_LAYOUT_INVALID', `${this.#path} has no blob ${digest}`)
    return file
  }

  /** What cosign and registries' copies name after an image: its signatures. */
  async signatures(digest: Digest): Promise<RegistryDocument | null> {
    const tag = `${digest.replace(':', '-')}.sig`
    const entry = this.index.manifests.find(({annotations}) => annotations[refName] === tag || annotations[refName]?.endsWith(`:${tag}`))
    return entry === undefined ? null : await this.document(entry)
  }

  /** A layout has no list of what refers to an image but its index, whose entries do not say. */
  async referrers(): Promise<readonly Descriptor[]> {
    return []
  }

  #damaged(digest: Digest, why: string): RktError {
    return new RktError('RKT_OCI_LAYOUT_INVALID', `the blob ${digest} of ${this.#path} is not what its descriptor says`, {
      cause: new Error(why),
    })
  }
}

function versionOf(marker: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(marker.toString('utf8'))
    const version = (value as {imageLayoutVersion?: unknown} | null)?.imageLayoutVersion
    return typeof version === 'string' ? version : undefined
  } catch {
    return undefined
  }
}

/** The names of an entry: the reference that a client wrote down, then the tag. */
export function namesOf({annotations}: Pick<Descriptor, 'annotations'>): readonly string[] {
  return [annotations[containerdName], annotations[refName]].filter((name) => name !== undefined && name !== '') as string[]
}

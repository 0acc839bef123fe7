import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import {type HttpClient, type HttpResponse, openTransfer, plainText, readBounded} from '../http/index.ts'
import {
  acceptedTypes,
  apiHost,
  type Descriptor,
  type Digest,
  digestOf,
  hostPlatform,
  isIndexType,
  isManifestType,
  mediaTypes,
  type Platform,
  parseDigest,
  parseDocument,
} from '../oci/index.ts'
import {verifiedBlob} from './blob.ts'
import {contentError} from './failures.ts'
import {chooseImage} from './image.ts'
import {Session} from './session.ts'
import type {BlobOptions, BlobStream, Registry, RegistryDocument, RegistryImage, RegistryOptions, Repository, TagOrDigest} from './types.ts'

/** A registry by its host; nothing is asked of it yet. */
export function openRegistry({credentials, diagnostics, host, http, insecure, typedHost = host}: RegistryOptions): Registry {
  const api = apiHost(host)
  const session = new Session({credentials, diagnostics, host: api, http, insecureHttp: insecure.http, typedHost})
  return {host: api, repository: (name) => new HttpRepository(session, {diagnostics, http, name})}
}

const manifestLimit = 8 * 1024 * 1024
const acceptManifests = {Accept: acceptedTypes.join(', ')}

interface RepositoryOptions {
  readonly diagnostics: Diagnostics
  readonly http: HttpClient
  readonly name: string
}

class HttpRepository implements Repository {
  readonly host: string
  readonly name: string
  readonly #diagnostics: Diagnostics
  readonly #http: HttpClient
  readonly #session: Session

  constructor(session: Session, {diagnostics, http, name}: RepositoryOptions) {
    this.host = session.host
    this.name = name
    this.#diagnostics = diagnostics
    this.#http = http
    this.#session = session
  }

  async digest(reference: TagOrDigest): Promise<Digest> {
    if (reference.digest !== null) return reference.digest
    return (await this.#head(tagOf(reference))) ?? (await this.#manifest(tagOf(reference), null, byTag)).digest
  }

  async resolve(reference: TagOrDigest): Promise<RegistryDocument> {
    if (reference.digest !== null) return await this.#manifest(reference.digest, reference.digest)
    const tag = tagOf(reference)
    const digest = await this.#head(tag)
    return await this.#manifest(digest ?? tag, digest, byTag)
  }

  document({
    digest,
    mediaType,
    size,
  }: Pick<Descriptor, 'digest' | 'mediaType'> & Partial<Pick<Descriptor, 'size'>>): Promise<RegistryDocument> {
    return this.#manifest(digest, digest, {mediaType, size})
  }

  image(reference: TagOrDigest, platform: Platform = hostPlatform()): Promise<RegistryImage> {
    const name = `${this.host}/${this.name}${reference.digest === null ? `:${reference.tag}` : `@${reference.digest}`}`
    return chooseImage(this, {name, platform, reference})
  }

  async blob(descriptor: Descriptor, {signal, verify = true}: BlobOptions = {}): Promise<BlobStream> {
    const {digest, size} = descriptor
    const what = `the blob ${digest} of ${this.name}`
    const transfer = await openTransfer({
      debug: (message) => this.#diagnostics.debug('registry', message),
      immutable: true, // a digest is one content for ever
      open: (headers) => this.#get(`blobs/${digest}`, {'Accept-Encoding': 'identity', ...headers}, signal),
      retry: this.#http.retry,
      signal,
      size,
    })
    if (transfer.status !== 200) throw await this.#session.refusal(transfer.response, this.name, what)
    return {body: verify ? await verifiedBlob(transfer.body, descriptor, what) : transfer.body, descriptor}
  }

  async smallBlob(descriptor: Descriptor, limit: number): Promise<Buffer> {
    const {digest, size} = descriptor
    if (size > limit) {
      throw new RktError(
        'RKT_HTTP_TOO_LARGE',
        `the blob ${digest} of ${this.name} has ${size} bytes, more than the ${limit} that it may have`,
      )
    }
    const {body} = await this.blob(descriptor)
    const chunks: Buffer[] = []
    for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  async referrers(digest: Digest, artifactType?: string): Promise<readonly Descriptor[]> {
    const query = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`
    const response = await this.#get(`referrers/${digest}${query}`, {Accept: mediaTypes.index[0]})
    const type = response.headers['content-type']?.split(';')[0]?.trim()
    // A registry without the API may answer 404, or with a page of its own.
    const isIndex = response.status === 200 && type === mediaTypes.index[0]
    const what = `the list of what refers to ${digest} in ${this.name}`
    if (!isIndex && response.status !== 404 && response.status !== 200 && response.status !== 405) {
      throw await this.#session.refusal(response, this.name, what)
    }
    if (!isIndex) response.discard()
    const document = isIndex
      ? parseDocument(await readBounded(response, manifestLimit), type, what)
      : (await this.#optional(digest.replace(':', '-')))?.document
    if (document === undefined) return []
    if (document.kind !== 'index') return []
    return document.manifests.filter((entry) => artifactType === undefined || entry.artifactType === artifactType)
  }

  signatures(digest: Digest): Promise<RegistryDocument | null> {
    return this.#optional(`${digest.replace(':', '-')}.sig`)
  }

  #get(path: string, headers: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<HttpResponse> {
    return this.#session.send({headers, path: `${this.name}/${path}`, repository: this.name, ...(signal === undefined ? {} : {signal})})
  }

  /** The digest that the registry names for a tag; null where it names none, or refuses: a GET says why. */
  async #head(tag: string): Promise<Digest | null> {
    const path = `${this.name}/manifests/${tag}`
    const response = await this.#session.send({headers: acceptManifests, method: 'HEAD', path, repository: this.name})
    response.discard()
    if (response.status !== 200) return null
    return announcedDigest(response)
  }

  async #optional(tag: string): Promise<RegistryDocument | null> {
    try {
      return await this.#manifest(tag, null, byTag)
    } catch (error) {
      if (error instanceof RktError && error.code === 'RKT_IMAGE_NOT_FOUND') return null
      throw error
    }
  }

  async #manifest(reference: string, digest: Digest | null, expected: Expected = {}): Promise<RegistryDocument> {
    const what = `the manifest of ${this.host}/${this.name}${reference.includes(':') ? '@' : ':'}${reference}`
    const response = await this.#get(`manifests/${reference}`, acceptManifests)
    if (response.status !== 200) throw await this.#session.refusal(response, this.name, what)
    const bytes = await readBounded(response, manifestLimit)
    if (expected.size !== undefined && bytes.length !== expected.size) {
      throw contentError(what, `${bytes.length} bytes came where ${expected.size} were announced`)
    }
    const announced = digest ?? announcedDigest(response)
    const actual = digestOf(bytes, announced ?? undefined)
    if (announced !== null && announced !== actual) throw contentError(what, `its digest is ${actual} where ${announced} was announced`)
    const served = response.headers['content-type'] ?? null
    if (expected.byTag === true && served !== null) checkServedType(served, what)
    const document = parseDocument(bytes, expected.mediaType ?? served, what)
    return {bytes, digest: actual, document, mediaType: document.mediaType}
  }
}

interface Expected {
  /** Of the descriptor that led there. */
  readonly mediaType?: string
  readonly size?: number | undefined
  /** Nobody but the registry said what it is. */
  readonly byTag?: boolean
}

const byTag: Expected = {byTag: true}

/** What a tag leads to is what the registry says that it is: a page of a proxy, or a document of another kind, is no image. */
function checkServedType(served: string, what: string): void {
  const type = served.split(';')[0]?.trim().toLowerCase() ?? ''
  if (isIndexType(type) || isManifestType(type) || (mediaTypes.schema1 as readonly string[]).includes(type)) return
  throw new RktError('RKT_OCI_DOCUMENT_INVALID', `${what} is no image`, {
    cause: new Error(`the registry serves it as ${JSON.stringify(plainText(type))}`),
  })
}

function tagOf({tag}: TagOrDigest): string {
  return tag ?? 'latest'
}

function announcedDigest({headers}: HttpResponse): Digest | null {
  const text = headers['docker-content-digest']
  if (typeof text !== 'string') return null
  try {
    return parseDigest(text.trim())
  } catch {
    return null // one that we cannot verify is as good as none
  }
}

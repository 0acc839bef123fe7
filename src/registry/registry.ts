import type {Readable} from 'node:stream'
import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import {type HttpClient, type HttpResponse, openTransfer, readBounded} from '../http/index.ts'
import {
  acceptedTypes,
  apiHost,
  type Descriptor,
  type Digest,
  type Document,
  digestOf,
  hostPlatform,
  mediaTypes,
  type Platform,
  parseDigest,
  parseDocument,
} from '../oci/index.ts'
import {verifiedBlob} from './blob.ts'
import type {Credentials} from './credentials.ts'
import {contentError} from './failures.ts'
import {chooseImage, type RegistryImage} from './image.ts'
import {Session} from './session.ts'

export interface RegistryOptions {
  /** As a normalised reference has it: `registry-1.docker.io`, `localhost:5000` … */
  readonly host: string
  /** As the user wrote it, where that counts (`dockerAuth`); else `host`. */
  readonly typedHost?: string
  readonly http: HttpClient
  readonly credentials: Credentials
  /** Whether the registry may be asked over plain http when https fails. Whether certificates are checked is the client's matter. */
  readonly insecure: {readonly http: boolean}
  readonly diagnostics: Diagnostics
}

export interface Registry {
  readonly host: string
  repository(name: string): Repository
}

/** What of a reference decides; a digest wins. */
export interface TagOrDigest {
  readonly tag: string | null
  readonly digest: Digest | null
}

/** A manifest or an index, byte for byte as the registry has it. */
export interface RegistryDocument {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly mediaType: string
  readonly document: Document
}

export interface BlobOptions {
  /** Off where the reader computes the digest itself; the length is checked all the same. On by default. */
  readonly verify?: boolean
  readonly signal?: AbortSignal
}

export interface BlobStream {
  readonly descriptor: Descriptor
  /** Exactly `descriptor.size` bytes, or an error in place of the end. */
  readonly body: Readable
}

/** The images of one name. All that it returns was verified. */
export interface Repository {
  readonly host: string
  readonly name: string
  /** The digest that a tag has now, by one cheap request where the registry can. */
  digest(reference: TagOrDigest): Promise<Digest>
  /** The document that a reference names: an index where it names one. */
  resolve(reference: TagOrDigest): Promise<RegistryDocument>
  /** The document that a descriptor of another document names. */
  document(descriptor: Pick<Descriptor, 'digest' | 'mediaType'> & Partial<Pick<Descriptor, 'size'>>): Promise<RegistryDocument>
  /** The image for a platform, this host's by default: through at most three indexes, with its config. */
  image(reference: TagOrDigest, platform?: Platform): Promise<RegistryImage>
  /** A blob as it streams; it continues where a connection breaks. Several at a time are fine. */
  blob(descriptor: Descriptor, options?: BlobOptions): Promise<BlobStream>
  /** A small blob as a whole; one larger than `limit` is refused before it is read. */
  smallBlob(descriptor: Descriptor, limit: number): Promise<Buffer>
  /** What refers to a digest (signatures, …): by the referrers API, or the tag `sha256-HEX` where the registry has none. */
  referrers(digest: Digest, artifactType?: string): Promise<readonly Descriptor[]>
  /** The manifest under the tag `sha256-HEX.sig`, where cosign puts its signatures; null if there is none. */
  signatures(digest: Digest): Promise<RegistryDocument | null>
}

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
    return (await this.#head(tagOf(reference))) ?? (await this.#manifest(tagOf(reference), null)).digest
  }

  async resolve(reference: TagOrDigest): Promise<RegistryDocument> {
    if (reference.digest !== null) return await this.#manifest(reference.digest, reference.digest)
    const tag = tagOf(reference)
    const digest = await this.#head(tag)
    return await this.#manifest(digest ?? tag, digest)
  }

  document({
    digest,
    mediaType,
    size,
  }: Pick<Descriptor, 'digest' | 'mediaType'> & Partial<Pick<Descriptor, 'size'>>): Promise<RegistryDocument> {
    return this.#manifest(digest, digest, {mediaType, size})
  }

  image(reference: TagOrDigest, platform: Platform = hostPlatform()): Promise<RegistryImage> {
    return chooseImage(this, {platform, reference})
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
      return await this.#manifest(tag, null)
    } catch (error) {
      if (error instanceof RktError && error.code === 'RKT_IMAGE_NOT_FOUND') return null
      throw error
    }
  }

  async #manifest(
    reference: string,
    digest: Digest | null,
    expected: {readonly mediaType?: string; readonly size?: number | undefined} = {},
  ): Promise<RegistryDocument> {
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
    const document = parseDocument(bytes, expected.mediaType ?? response.headers['content-type'] ?? null, what)
    return {bytes, digest: actual, document, mediaType: document.mediaType}
  }
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

import type {Readable} from 'node:stream'
import type {Diagnostics} from '../diagnostics.ts'
import type {HttpClient} from '../http/index.ts'
import type {Descriptor, Digest, Document, ImageConfig, OciManifest, Platform} from '../oci/index.ts'
import type {Credentials} from './credentials.ts'

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

/** An image for one platform. */
export interface RegistryImage {
  /** The indexes on the way, the one that the reference names first; none where it names the manifest. */
  readonly indexes: readonly RegistryDocument[]
  readonly manifest: RegistryDocument & {readonly document: OciManifest}
  readonly config: {readonly bytes: Buffer; readonly digest: Digest; readonly image: ImageConfig}
  /** Base first; as many as the config has diff IDs. */
  readonly layers: readonly Descriptor[]
}

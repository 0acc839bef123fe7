/**
 * Documents of OCI and Docker images: digests, references, descriptors, manifests, indexes, configs, the choice of a platform, and
 * the appc view of an image. Pure: rests on appc and errors.ts, knows no file, no network and no store.
 */
export {appcView, type ImageIdentity} from './appc-view.ts'
export {type Digest, digestOf, parseDigest} from './digest.ts'
export {
  type Descriptor,
  type Document,
  type ImageConfig,
  type ImageIndex,
  maxDocument,
  type OciManifest,
  type Platform,
  parseConfig,
  parseDocument,
} from './documents.ts'
export {acceptedTypes, isIndexType, isManifestType, layerCompression, mediaTypes} from './media-types.ts'
export {choosePlatform, hostPlatform} from './platform.ts'
export {apiHost, type DockerReference, formatReference, fullReference, parseDockerReference, typedHost} from './reference.ts'
export {registryPrefix} from './registry-prefix.ts'

/**
 * The image store: uncompressed archives and OCI content under their hashes, rendered layers, manifests, and what is known of each
 * image, as small files that are the truth. Rests on the addon (hashing, layers, locks, unnamed files), on appc and oci. Knows
 * nothing of trees, references, transports or pods.
 */
export {ensureDirectory, errnoOf, namesIn, readText, removeFile, replaceFile, sweepTemporaries} from './files.ts'
export {type ImageKey, isImageKey, looksLikeImageId} from './image-key.ts'
export type {ImportOptions} from './import-image.ts'
export {damageHint, isDamage, withDamageHint} from './integrity.ts'
export {Layers} from './layers.ts'
export {LOCK_TIMEOUT_MS, lockFile} from './locks.ts'
export type {NamedImage} from './look-up.ts'
export type {StoredName} from './names.ts'
export type {OciDocuments, OciLayer, OciRecord} from './oci-image.ts'
export type {LayerDescriptor, LayerWriter, OciImport, OciImportRequest, StoredLayer} from './oci-import.ts'
export type {Remote} from './remote.ts'
export {Scratch} from './scratch.ts'
export {type ImageInfo, openStore, Store} from './store.ts'

/**
 * The image store: uncompressed archives under the hash of their content, their manifests, and what is known of each image, as
 * small files that are the truth. Rests on the addon (hashing, locks, unnamed files) and on appc. Knows nothing of rendering,
 * references, transports or pods.
 */
export {ensureDirectory, errnoOf, namesIn, readText, removeFile, replaceFile, sweepTemporaries, syncDirectory} from './files.ts'
export {type ImageKey, isImageKey, looksLikeImageId} from './image-key.ts'
export type {ImportOptions} from './import-image.ts'
export {LOCK_TIMEOUT_MS, lockFile} from './locks.ts'
export type {Remote} from './remote.ts'
export {type ImageInfo, openStore, Store} from './store.ts'

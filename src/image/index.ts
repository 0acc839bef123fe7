/**
 * Images as users name them: references, finding, fetching and verifying them by the pull policy (one transport for each kind of
 * reference), stored images by ID or name, and packing a directory into an archive. Rests on the store, the treestore, http, oci, registry,
 * discovery, trust, configuration and appc. Knows nothing of pods, flavors or the command line.
 */
export {type BuildOptions, buildImage} from './build-image.ts'
export {type DistributionPoint, formatDistributionPoint, parseDistributionPoint} from './distribution.ts'
export {findImage, findNamedImage} from './find-image.ts'
export {ImportError} from './import-archive.ts'
export {type PackOptions, packAci, writeAci} from './pack-aci.ts'
export type {FindImageOptions, ImagePorts, PullPolicy} from './ports.ts'
export type {ProgressOutput} from './progress.ts'
export {type ImageReference, parseImageReference} from './reference.ts'
export {type CopyOptions, type ExportOptions, exportImage, extractImage, manifestOfFile, renderImage} from './stored-copies.ts'
export {resolveStoredImage, resolveStoredName} from './stored-image.ts'

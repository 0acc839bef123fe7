/**
 * The metadata service (appc.md §12): tells pods what they are, and signs for them. Rests on appc's manifests and on the directories of
 * pods. Knows nothing of images, stores, flavors or the command line.
 */
export {MetadataService, type MetadataServiceOptions} from './service.ts'

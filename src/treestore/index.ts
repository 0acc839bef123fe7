/**
 * The treestore: images rendered once, with what they depend on, into trees that pods use as overlay lower layers. Rests on the
 * store for blobs and on the addon for rendering, digests and removal. Knows nothing of pods, transports or the command line.
 */
export {isTreeId, type RenderEntry, renderList, type TreeId} from './tree-id.ts'
export {openTreestore, type RenderOptions, Treestore} from './treestore.ts'

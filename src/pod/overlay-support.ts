import type {PodEngine} from './engine-slice.ts'

/** Why pods of this data directory cannot use overlays, null when they can. Found by trying. */
export function overlayProblem({treestore}: Pick<PodEngine, 'treestore'>): string | null {
  return treestore.overlayProblem()
}

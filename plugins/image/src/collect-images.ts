import {causeChain, type Engine, imagesInUse, prepareLock, RktError, type TreeId, treesInUse} from '@rkt/engine'
import {explainImage, explainLayers, explainTree} from './explain-kept.ts'
import {type RemovalReport, removeImages} from './remove-images.ts'

export interface CollectOptions {
  readonly graceMs: number
  /** Says of each thing that stays what keeps it. */
  readonly explain: boolean
}

/** Removes trees that no pod names, then images that nobody used for a while, and what killed processes left. */
export async function collectImages(engine: Engine, {explain, graceMs}: CollectOptions, report: RemovalReport): Promise<void> {
  await collectTrees(engine, explain, report)
  const inUse = imagesInUse(engine)
  const now = Date.now()
  const images = (await engine.store.list()).toSorted((a, b) => a.lastUsed.getTime() - b.lastUsed.getTime())
  const young = images.findIndex((image) => now - image.lastUsed.getTime() <= graceMs)
  const keys = (young < 0 ? images : images.slice(0, young)).map((image) => image.key).filter((key) => !inUse.has(key))
  if (keys.length > 0)
    await removeImages(
      engine,
      keys.map((key) => ({key})),
      report,
    )
  else await engine.store.sweep()
  if (!explain) return
  const kept = images.filter(({key}) => !keys.includes(key) && engine.store.has(key))
  for (const image of kept) report.print(explainImage(image, {graceMs, now, pods: inUse.get(image.key) ?? []}))
  for (const line of explainLayers(kept.map((image) => ({...image, oci: engine.store.oci(image.key)})))) report.print(line)
}

/** Nobody prepares a pod meanwhile: a tree that was rendered for one stays until the pod names it. */
async function collectTrees({dataDir, pods, treestore}: Engine, explain: boolean, {note, print}: RemovalReport): Promise<void> {
  using _lock = await prepareLock(dataDir, 'exclusive')
  const used = treesInUse(pods, note)
  let failed = false
  for (const tree of treestore.list()) {
    const users = used.get(tree)
    if (users === undefined) failed = !(await remove(treestore, tree, note)) || failed
    else if (explain) print(explainTree(tree, users))
  }
  await treestore.sweep()
  if (failed) throw new RktError('RKT_IMAGE_GC', 'failed to remove unreferenced treestores')
}

async function remove(treestore: Engine['treestore'], tree: TreeId, note: (line: string) => void): Promise<boolean> {
  try {
    await treestore.remove(tree)
    note(`removed treestore "${tree}"`)
    return true
  } catch (error) {
    note(`error removing treestore "${tree}": ${causeChain(error).at(-1)}`)
    return false
  }
}

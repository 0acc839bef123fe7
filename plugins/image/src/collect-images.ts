import {causeChain, type Engine, PodContents, prepareLock, RktError, treesInUse} from '@rkt/engine'
import {type RemovalReport, removeImages} from './remove-images.ts'

/** Removes trees that no pod names, then images that nobody used for a while, and what killed processes left. */
export async function collectImages(engine: Engine, graceMs: number, report: RemovalReport): Promise<void> {
  await collectTrees(engine, report)
  const inUse = imagesInUse(engine.pods)
  const now = Date.now()
  const images = (await engine.store.list()).toSorted((a, b) => a.lastUsed.getTime() - b.lastUsed.getTime())
  const young = images.findIndex((image) => now - image.lastUsed.getTime() <= graceMs)
  const old = young < 0 ? images : images.slice(0, young)
  const keys = old.map((image) => image.key).filter((key) => !inUse.has(key))
  if (keys.length > 0) await removeImages(engine, keys, report)
  else await engine.store.sweep()
}

/** Nobody prepares a pod meanwhile: a tree that was rendered for one stays until the pod names it. */
async function collectTrees({dataDir, pods, treestore}: Engine, {note}: RemovalReport): Promise<void> {
  using _lock = await prepareLock(dataDir, 'exclusive')
  const used = treesInUse(pods, note)
  let failed = false
  for (const tree of treestore.list().filter((id) => !used.has(id))) {
    try {
      await treestore.remove(tree)
      note(`removed treestore "${tree}"`)
    } catch (error) {
      note(`error removing treestore "${tree}": ${causeChain(error).at(-1)}`)
      failed = true
    }
  }
  await treestore.sweep()
  if (failed) throw new RktError('RKT_IMAGE_GC', 'failed to remove unreferenced treestores')
}

/** Images of the apps of running pods. */
function imagesInUse(pods: Engine['pods']): Set<string> {
  const running = pods.list(['run']).filter((pod) => pod.state === 'running')
  return new Set(running.flatMap((pod) => new PodContents(pod).manifest().apps.flatMap(({image}) => image.id ?? [])))
}

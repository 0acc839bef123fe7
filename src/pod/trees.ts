import {type ImageKey, isImageKey} from '../store/index.ts'
import type {TreeId} from '../treestore/index.ts'
import {PodContents} from './contents.ts'
import type {PodEngine} from './engine-slice.ts'
import type {Pods} from './pods.ts'
import {nameableDirectories} from './state.ts'
import type {PodUuid} from './uuid.ts'

/** The trees that some pod has or will have mounted, with those pods. What cannot be read is said, and protects nothing. */
export function treesInUse(pods: Pods, note: (line: string) => void): ReadonlyMap<TreeId, readonly PodUuid[]> {
  const trees = new Map<TreeId, PodUuid[]>()
  for (const pod of pods.list(nameableDirectories)) {
    const contents = new PodContents(pod)
    try {
      add(trees, contents.stage1TreeId(), pod.uuid)
    } catch {
      note(`cannot get stage1 treestoreID for pod ${pod.uuid}`)
      continue
    }
    if (!contents.usesOverlay) continue
    // One app may be on its way out of the pod, while the trees of the others are mounted.
    const apps = attempt(() => contents.manifest().apps.map(({name}) => attempt(() => contents.appTreeId(name))))
    for (const tree of apps ?? [undefined]) {
      if (tree === undefined) note(`cannot get apps treestoreID for pod ${pod.uuid}`)
      else add(trees, tree, pod.uuid)
    }
  }
  return trees
}

/**
 * The images that running pods use, with those pods: of their apps, all that these depend on, and of their stage1. A pod whose manifest
 * cannot be read runs none that we know.
 */
export function imagesInUse({pods, treestore}: Pick<PodEngine, 'pods' | 'treestore'>): ReadonlyMap<ImageKey, readonly PodUuid[]> {
  const images = new Map<ImageKey, PodUuid[]>()
  for (const pod of pods.list(['run'])) {
    if (pod.state !== 'running') continue
    const contents = new PodContents(pod)
    for (const key of [...appImages(contents), ...stage1Images(contents, treestore)]) {
      for (const needed of treestore.imagesOf(key)) add(images, needed, pod.uuid)
    }
  }
  return images
}

function appImages(contents: PodContents): ImageKey[] {
  try {
    return contents.manifest().apps.flatMap(({image}) => {
      const key = image.id?.slice(0, keyLength)
      return key !== undefined && isImageKey(key) ? [key] : []
    })
  } catch {
    // It is being set up or removed; its trees are protected by the prepare lock.
    return []
  }
}

function stage1Images(contents: PodContents, treestore: PodEngine['treestore']): ImageKey[] {
  try {
    const key = treestore.imageOf(contents.stage1TreeId())
    return key === null ? [] : [key]
  } catch {
    // only root reaches into trees
    return []
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

function add<Thing>(map: Map<Thing, PodUuid[]>, thing: Thing, pod: PodUuid): void {
  const users = map.get(thing)
  if (users === undefined) map.set(thing, [pod])
  else if (!users.includes(pod)) users.push(pod)
}

const keyLength = 'sha512-'.length + 64

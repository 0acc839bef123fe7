import {type ImageKey, isImageKey} from '../store/index.ts'
import type {TreeId} from '../treestore/index.ts'
import {PodContents} from './contents.ts'
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
    try {
      for (const {name} of contents.manifest().apps) add(trees, contents.appTreeId(name), pod.uuid)
    } catch {
      note(`cannot get apps treestoreID for pod ${pod.uuid}`)
    }
  }
  return trees
}

/** The images of the apps of running pods, with those pods. A pod whose manifest cannot be read runs none that we know. */
export function imagesInUse(pods: Pods): ReadonlyMap<ImageKey, readonly PodUuid[]> {
  const images = new Map<ImageKey, PodUuid[]>()
  for (const pod of pods.list(['run'])) {
    if (pod.state !== 'running') continue
    try {
      for (const {image} of new PodContents(pod).manifest().apps) {
        const key = image.id?.slice(0, keyLength)
        if (key !== undefined && isImageKey(key)) add(images, key, pod.uuid)
      }
    } catch {
      // It is being set up or removed; its trees are protected by the prepare lock.
    }
  }
  return images
}

function add<Thing>(map: Map<Thing, PodUuid[]>, thing: Thing, pod: PodUuid): void {
  const users = map.get(thing)
  if (users === undefined) map.set(thing, [pod])
  else if (!users.includes(pod)) users.push(pod)
}

const keyLength = 'sha512-'.length + 64

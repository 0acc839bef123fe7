import {type ImageKey, isImageKey} from '../store/index.ts'
import type {TreeId} from '../treestore/index.ts'
import {PodContents} from './contents.ts'
import type {Pods} from './pods.ts'
import {nameableDirectories} from './state.ts'

/** The trees that some pod has or will have mounted. What cannot be read is said, and protects nothing. */
export function treesInUse(pods: Pods, note: (line: string) => void): Set<TreeId> {
  const trees = new Set<TreeId>()
  for (const pod of pods.list(nameableDirectories)) {
    const contents = new PodContents(pod)
    try {
      trees.add(contents.stage1TreeId())
    } catch {
      note(`cannot get stage1 treestoreID for pod ${pod.uuid}`)
      continue
    }
    if (!contents.usesOverlay) continue
    try {
      for (const {name} of contents.manifest().apps) trees.add(contents.appTreeId(name))
    } catch {
      note(`cannot get apps treestoreID for pod ${pod.uuid}`)
    }
  }
  return trees
}

/** The images of the apps of running pods. A pod whose manifest cannot be read runs none that we know. */
export function imagesInUse(pods: Pods): Set<ImageKey> {
  const images = new Set<ImageKey>()
  for (const pod of pods.list(['run'])) {
    if (pod.state !== 'running') continue
    try {
      for (const {image} of new PodContents(pod).manifest().apps) {
        const key = image.id?.slice(0, keyLength)
        if (key !== undefined && isImageKey(key)) images.add(key)
      }
    } catch {
      // It is being set up or removed; its trees are protected by the prepare lock.
    }
  }
  return images
}

const keyLength = 'sha512-'.length + 64

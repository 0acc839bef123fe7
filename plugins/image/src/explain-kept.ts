/** What keeps a thing of the store, a line each. */
import {formatDuration, type ImageInfo, type OciRecord, relativeTime} from '@rkt/engine'
import {namesOf} from './list-images.ts'

export interface Reasons {
  readonly graceMs: number
  readonly now: number
  /** Running pods that have it. */
  readonly pods: readonly string[]
}

type KeptImage = Pick<ImageInfo, 'key' | 'lastUsed' | 'names'>

export function explainImage(image: KeptImage, {graceMs, now, pods}: Reasons): string {
  const isYoung = now - image.lastUsed.getTime() <= graceMs
  const reasons = [
    ...(pods.length > 0 ? [`used by running ${podsOf(pods)}`] : []),
    ...(isYoung ? [`last used ${relativeTime(image.lastUsed)}, within the grace period of ${formatDuration(graceMs)}`] : []),
  ]
  // one that could not be removed has been spoken of
  return `kept image "${image.key}" (${namesOf(image).join(', ')}): ${reasons.join('; ') || 'it could not be removed'}`
}

export function explainTree(tree: string, pods: readonly string[]): string {
  return `kept treestore "${tree}": mounted or to be mounted by ${podsOf(pods)}`
}

/** Layers in the order of their first image. */
export function explainLayers(images: readonly (KeptImage & {readonly oci: Pick<OciRecord, 'layers'> | null})[]): string[] {
  const users = new Map<string, Set<string>>()
  for (const image of images) {
    for (const {digest} of image.oci?.layers ?? []) {
      const names = users.get(digest) ?? new Set()
      for (const name of namesOf(image)) names.add(name)
      users.set(digest, names)
    }
  }
  return [...users].map(([digest, names]) => `kept layer "${digest}": part of ${[...names].join(', ')}`)
}

const podsOf = (pods: readonly string[]): string => `pod${pods.length === 1 ? '' : 's'} ${pods.join(', ')}`

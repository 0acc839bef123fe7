import type {Engine, ImageInfo} from '@rkt/engine'
import {causeChain} from '@rkt/engine'

export const SORT_KEYS = ['name', 'importtime', 'lastused', 'size'] as const
export type SortKey = (typeof SORT_KEYS)[number]

export interface ImageListing {
  readonly images: readonly ImageInfo[]
  /** What is wrong with images that are left out, as texts of some lines each. */
  readonly problems: readonly string[]
}

/** The images of the store in the order asked for; one whose manifest nobody can read is reported, one that vanished is left out. */
export async function listImages({store}: Pick<Engine, 'store'>, sort: readonly SortKey[], descending: boolean): Promise<ImageListing> {
  const problems: string[] = []
  const images = (await store.list()).filter((image) => {
    try {
      store.manifest(image.key)
      return true
    } catch (error) {
      if (store.has(image.key)) problems.push(describe(image, error))
      return false
    }
  })
  const direction = descending ? -1 : 1
  return {images: images.toSorted((a, b) => direction * compare(a, b, sort)), problems}
}

function compare(a: ImageInfo, b: ImageInfo, sort: readonly SortKey[]): number {
  for (const key of sort) {
    const difference = compareBy[key](a, b)
    if (difference !== 0) return difference
  }
  return 0
}

const compareBy: Readonly<Record<SortKey, (a: ImageInfo, b: ImageInfo) => number>> = {
  importtime: (a, b) => a.importTime.getTime() - b.importTime.getTime(),
  lastused: (a, b) => a.lastUsed.getTime() - b.lastUsed.getTime(),
  name: (a, b) => (nameOf(a) < nameOf(b) ? -1 : Number(nameOf(a) > nameOf(b))),
  size: (a, b) => sizeOf(a) - sizeOf(b),
}

/** `name:version`, or the name alone for an image without a version. */
export function nameOf({labels, name}: Pick<ImageInfo, 'labels' | 'name'>): string {
  const version = labels.find((label) => label.name === 'version')?.value
  return version === undefined ? name : `${name}:${version}`
}

/** What the image takes on the disk, its tree included. */
export function sizeOf({size, treeSize}: Pick<ImageInfo, 'size' | 'treeSize'>): number {
  return size + treeSize
}

function describe({key, name}: ImageInfo, error: unknown): string {
  return [
    `Unable to load manifest of image ${name} because it is invalid:`,
    `  ${causeChain(error).at(-1)}`,
    'ID of the invalid image:',
    `  ${key}`,
  ].join('\n')
}

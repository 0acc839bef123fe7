import type {Engine, ImageInfo, StoredName} from '@rkt/engine'
import {causeChain} from '@rkt/engine'

export const SORT_KEYS = ['name', 'importtime', 'lastused', 'size'] as const
export type SortKey = (typeof SORT_KEYS)[number]

/** An image by one of its names, and all places that it came from under that one, the newest first. */
export type ListedImage = ImageInfo & {readonly sources: readonly string[]}

export interface ImageListing {
  readonly images: readonly ListedImage[]
  /** What is wrong with images that are left out, as texts of some lines each. */
  readonly problems: readonly string[]
}

/**
 * The images of the store in the order asked for, once for each of their names; one whose manifest nobody can read is reported, one that
 * vanished is left out.
 */
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
  const listed = images.flatMap(byName).toSorted((a, b) => a.importTime.getTime() - b.importTime.getTime())
  return {images: listed.toSorted((a, b) => direction * compare(a, b, sort)), problems}
}

function byName(image: ImageInfo): ListedImage[] {
  const names = new Map<string, StoredName[]>()
  for (const name of image.names) names.set(nameOf(name), [...(names.get(nameOf(name)) ?? []), name])
  return [...names.values()].map((same) => {
    const {identity: _, ...newest} = same[0] as StoredName
    return {...image, ...newest, sources: same.map(({source}) => source).filter((source) => source !== '')}
  })
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
export function nameOf({labels, name}: Pick<StoredName, 'labels' | 'name'>): string {
  const version = labels.find((label) => label.name === 'version')?.value
  return version === undefined ? name : `${name}:${version}`
}

/** All that an image is called, each once, the newest first. */
export function namesOf({names}: Pick<ImageInfo, 'names'>): readonly string[] {
  return [...new Set(names.map(nameOf))]
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

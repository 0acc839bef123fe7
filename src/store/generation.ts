import {randomUUID} from 'node:crypto'
import {statSync} from 'node:fs'
import {errnoOf, isReadOnlyFailure, readText, writeInPlace} from './files.ts'
import type {Layout} from './layout.ts'

/**
 * Tells the index that the files changed. Called after the change. Writers killed before this line are noticed too, by the times of
 * the directories that `generationOf` reads; so a failure (a full disk) is no reason to fail what is already done.
 */
export function bumpGeneration(layout: Layout): void {
  try {
    writeInPlace(layout.generation, `${randomUUID()}\n`)
  } catch (error) {
    if (!isReadOnlyFailure(error) && errnoOf(error) !== 'ENOSPC') throw error
  }
}

/** A text that differs whenever the set of images, remotes or tree sizes may have changed. */
export function generationOf(layout: Layout): string {
  const times = [layout.image, layout.remote, layout.treesize].map((path) => {
    const stats = statSync(path, {bigint: true, throwIfNoEntry: false})
    return stats === undefined ? '-' : `${stats.ino}.${stats.mtimeNs}`
  })
  return [readText(layout.generation)?.trim() ?? '-', ...times].join(' ')
}

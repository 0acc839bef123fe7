import {utimesSync} from 'node:fs'
import {RktError} from '../errors.ts'
import {isReadOnlyFailure, replaceFile} from './files.ts'
import {bumpGeneration} from './generation.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {lockImage} from './locks.ts'
import {encodeSidecar, lastUse, readSidecar, type Sidecar} from './sidecar.ts'

/**
 * Changes the record of an image under its lock, and leaves its time, which says when the image was used last. A caller who may not write
 * leaves no trace; of an image that is gone there is no record to change.
 */
export async function changeRecord(layout: Layout, key: ImageKey, change: (record: Sidecar) => Sidecar | Promise<Sidecar>): Promise<void> {
  try {
    using _lock = await lockImage(layout, key, 'exclusive')
    const record = readSidecar(layout, key)
    if (record === null) return
    const used = lastUse(layout, key)
    const path = layout.sidecarOf(key)
    replaceFile(path, encodeSidecar(await change(record)), layout.tmp)
    utimesSync(path, used, used)
    bumpGeneration(layout)
  } catch (error) {
    const cause = error instanceof RktError ? error.cause : error
    if (!isReadOnlyFailure(cause)) throw error
  }
}

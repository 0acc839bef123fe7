import {closeSync, openSync, utimesSync, writeSync} from 'node:fs'
import {systemError} from '../native/index.ts'
import {errnoOf, isReadOnlyFailure} from './files.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {isAbsent} from './sidecar.ts'

/** Records that an image was used now: the time of its sidecar. A caller who may not write leaves no trace, which is no failure. */
export function touchImage(layout: Layout, key: ImageKey): void {
  const path = layout.sidecarOf(key)
  try {
    utimesSync(path, new Date(), new Date())
  } catch (error) {
    if (isAbsent(error) || errnoOf(error) === 'EACCES' || errnoOf(error) === 'EROFS') return
    if (errnoOf(error) !== 'EPERM') throw systemError('chtimes', path, error)
    touchByWriting(path)
  }
}

/** Only its owner may set a file's times, but every writer sets them: a group member writes the first byte again. */
function touchByWriting(path: string): void {
  try {
    const fd = openSync(path, 'r+')
    try {
      writeSync(fd, '{', 0)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (!isReadOnlyFailure(error)) throw systemError('open', path, error)
  }
}

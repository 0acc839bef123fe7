import {closeSync, fsyncSync, openSync} from 'node:fs'
import {systemError} from './system-error.ts'

/** Makes the content of a file, or the names in a directory, durable. */
export function flush(path: string): void {
  try {
    const fd = openSync(path, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw systemError('fsync', path, error)
  }
}

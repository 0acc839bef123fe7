import {closeSync, fsyncSync, openSync} from 'node:fs'

/** Makes renames into and out of a directory survive a power cut. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Files and directories with exactly the mode that was asked for, whatever umask the caller of rkt has. */

import {mkdirSync, writeFileSync} from 'node:fs'
import {systemError} from '../native/index.ts'

/** Makes a directory that does not exist. */
export function makeDirectory(path: string, mode: number): void {
  try {
    withoutUmask(() => mkdirSync(path, mode))
  } catch (error) {
    throw systemError('mkdir', path, error)
  }
}

/** Makes a directory and its parents; those that exist stay as they are. */
export function makeDirectories(path: string, mode: number): void {
  try {
    withoutUmask(() => mkdirSync(path, {mode, recursive: true}))
  } catch (error) {
    throw systemError('mkdir', path, error)
  }
}

/** Writes a file that does not exist. */
export function writeNew(path: string, content: string | Uint8Array, mode: number): void {
  try {
    withoutUmask(() => writeFileSync(path, content, {flag: 'wx', mode}))
  } catch (error) {
    throw systemError('open', path, error)
  }
}

// The mask belongs to the process; nothing else of ours runs inside this synchronous call.
function withoutUmask(action: () => void): void {
  const before = process.umask(0)
  try {
    action()
  } finally {
    process.umask(before)
  }
}

/** Output that is written when the call returns: nothing is lost at exit, and stdout and stderr keep their order. */

import {writeSync} from 'node:fs'

const stdout = 1
const stderr = 2
let stdoutClosed = false

export function writeStdout(text: string | Uint8Array): void {
  if (!stdoutClosed) stdoutClosed = !writeAll(stdout, text)
}

export function writeStderr(text: string | Uint8Array): void {
  writeAll(stderr, text)
}

/** A text as one print: it ends with exactly one newline. */
export const line = (text: string) => `${text.replace(/\n+$/, '')}\n`

/** Writes everything, also to a pipe that its owner has made non-blocking; false when nobody reads it any more. */
function writeAll(fd: number, text: string | Uint8Array): boolean {
  let rest = typeof text === 'string' ? Buffer.from(text) : text
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EPIPE') return false
      if (code !== 'EAGAIN') throw error
      pause(2)
    }
  }
  return true
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

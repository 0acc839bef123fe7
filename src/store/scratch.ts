import {randomUUID} from 'node:crypto'
import {existsSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {FileLock, native, systemError, unwrap} from '../native/index.ts'

/** A directory for a while, which no sweep takes: what somebody holds stays. It goes with all in it when it is disposed of. */
export class Scratch implements AsyncDisposable {
  readonly path: string
  readonly #lock: FileLock

  private constructor(path: string, lock: FileLock) {
    this.path = path
    this.#lock = lock
  }

  /** Makes one in a directory of temporaries, for its owner alone; `what` is part of its name. */
  static make(tmp: string, what: string): Scratch {
    for (;;) {
      const path = join(tmp, `${what}-${randomUUID()}`)
      try {
        mkdirSync(path, 0o700)
      } catch (error) {
        throw systemError('mkdir', path, error)
      }
      const lock = tryLock(path)
      // a sweep may have been faster than our lock
      if (lock !== null && existsSync(path)) return new Scratch(path, lock)
      lock?.release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      unwrap(await native().removeTree(this.path))
    } finally {
      this.#lock.release()
    }
  }
}

function tryLock(path: string): FileLock | null {
  try {
    return FileLock.tryAcquire(path, 'exclusive')
  } catch (error) {
    if (existsSync(path)) throw error
    return null
  }
}

import {RktError} from '../errors.ts'
import {FileLock} from '../native/index.ts'
import {errnoOf} from './files.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'

/** How long one waits for another process that writes the same thing, a flush to a slow disk included. */
export const LOCK_TIMEOUT_MS = 60_000

/** The lock of one image: shared while its blob is read, exclusive while it is imported or removed. */
export async function lockImage(layout: Layout, key: ImageKey, mode: 'shared' | 'exclusive'): Promise<FileLock> {
  return await lockFile(layout.lockOf(key), mode)
}

/** Locks a file that is made when it is absent; whoever holds it exclusively may remove it, so one tries again when it has gone. */
export async function lockFile(path: string, mode: 'shared' | 'exclusive'): Promise<FileLock> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await FileLock.acquire(path, mode, {create: true, timeoutMs: LOCK_TIMEOUT_MS})
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined
      if (errnoOf(cause) !== 'ENOENT' || attempt === 3) throw error
    }
  }
}

/** How long opening a store waits for its take-over from rkt 1.x by another process. */
const STORE_TIMEOUT_MS = 10_000

/** The lock on the whole store. Opening one does not wait for anything else, so it may block. */
export function lockStore(cas: string, mode: 'shared' | 'exclusive'): FileLock {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (const deadline = performance.now() + STORE_TIMEOUT_MS; performance.now() < deadline; Atomics.wait(pause, 0, 0, 20)) {
    const lock = FileLock.tryAcquire(cas, mode)
    if (lock !== null) return lock
  }
  throw new RktError('RKT_LOCKED', `cannot open store: ${cas} is in use`, {cause: new Error('file already locked')})
}

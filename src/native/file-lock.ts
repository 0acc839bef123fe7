import {closeSync, constants, fchmodSync, fstatSync, openSync, type Stats, statSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import {RktError} from '../errors.ts'
import {native, unwrap} from './load.ts'
import {SystemError, systemError} from './system-error.ts'

export interface LockOptions {
  /** Makes the file, mode 0660, where it is missing. */
  readonly create?: boolean
}

export interface WaitOptions extends LockOptions {
  /** How long to try; 30 s by default. */
  readonly timeoutMs?: number
}

type Mode = 'shared' | 'exclusive'

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
const CREATE_MODE = 0o660
const RETRIES = 3

/**
 * flock(2) on a directory or a regular file, held until it is released or the process ends. Its descriptor is close-on-exec.
 *
 * A second lock of the same path in one process is another lock, which waits for the first: who needs re-entrancy keeps the first.
 * A regular file may be deleted by who holds it exclusively, so that after locking the path must still be the file that was locked.
 */
export class FileLock implements Disposable {
  readonly fd: number
  readonly path: string
  #held = true

  private constructor(fd: number, path: string) {
    this.fd = fd
    this.path = path
  }

  /** The lock, or null when another holds it. Never waits. */
  static tryAcquire(path: string, mode: Mode, options: LockOptions = {}): FileLock | null {
    for (let attempt = 0; attempt <= RETRIES; attempt++) {
      const fd = open(path, options)
      let kept = false
      try {
        const locked = fstatSync(fd)
        if (!locked.isFile() && (!locked.isDirectory() || options.create)) throw lockError(path, new Error('not a regular file'))
        if (!unwrap(native().flock(fd, mode))) return null
        if (locked.isDirectory() || isSame(locked, path)) {
          kept = true
          return new FileLock(fd, path)
        }
      } finally {
        if (!kept) closeSync(fd)
      }
    }
    throw lockError(path, new Error(`cannot acquire lock after ${RETRIES} retries`))
  }

  /** The lock, tried for until `timeoutMs` are over. Waits by timers, so that four waiters never fill libuv's pool. */
  static async acquire(path: string, mode: Mode, {timeoutMs = 30_000, ...options}: WaitOptions = {}): Promise<FileLock> {
    const deadline = performance.now() + timeoutMs
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
      const lock = FileLock.tryAcquire(path, mode, options)
      if (lock) return lock
      const left = deadline - performance.now()
      if (left <= 0) throw new RktError('RKT_LOCKED', `cannot lock ${path}`, {cause: new Error('file already locked')})
      await sleep(Math.min(pause, left))
    }
  }

  /** Changes the mode of a held lock: false, and the lock as it was before or lost, when another holds it (flock(2)). */
  convert(mode: Mode): boolean {
    return unwrap(native().flock(this.fd, mode))
  }

  /** Gives the lock back; the second time does nothing. */
  release(): void {
    if (!this.#held) return
    this.#held = false
    closeSync(this.fd)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

function open(path: string, {create}: LockOptions): number {
  try {
    return openSync(path, READ)
  } catch (error) {
    if (!create || codeOf(error) !== 'ENOENT') throw lockError(path, error)
  }
  try {
    const fd = openSync(path, READ | constants.O_CREAT | constants.O_EXCL, CREATE_MODE)
    fchmodSync(fd, CREATE_MODE) // the umask must not keep the group out
    return fd
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return open(path, {})
    throw lockError(path, error)
  }
}

function isSame(locked: Stats, path: string): boolean {
  const now: Stats | undefined = statSync(path, {throwIfNoEntry: false})
  return now?.dev === locked.dev && now.ino === locked.ino
}

function codeOf(error: unknown): unknown {
  return (error as {code?: unknown} | null)?.code
}

/** The documented texts where there is one; the cause keeps the system's code. */
function lockError(path: string, error: unknown): RktError {
  const code = codeOf(error)
  if (code === 'ENOENT') return failed(path, Object.assign(new Error('file does not exist'), {code}))
  if (code === 'EACCES' || code === 'EPERM') return failed(path, Object.assign(new Error('permission denied'), {code}))
  if (code === 'ELOOP') return failed(path, Object.assign(new Error('not a regular file'), {code}))
  if (error instanceof SystemError || code === undefined) return failed(path, error)
  return failed(path, systemError('open', path, error))
}

function failed(path: string, cause: unknown): RktError {
  return new RktError('RKT_LOCK_FAILED', `cannot lock ${path}`, {cause})
}

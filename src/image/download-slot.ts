import {createHash} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync, readFileSync, rmSync, type Stats, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {RktError} from '../errors.ts'
import {native, systemError, unwrap} from '../native/index.ts'

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** The group may look, and so wait for the lock; nobody but the owner writes what will be verified. */
const MODE = 0o640
const MAX_PAUSE_MS = 200

export interface ClaimOptions {
  /** Another process has it; said once. */
  readonly waiting: () => void
}

/**
 * The file that one URL is downloaded into, by one process at a time: `tmp/sha512-HEX`, locked. What a killed process left there can
 * be continued, if it is known what it was the beginning of; everybody else removes the file.
 */
export class DownloadSlot implements Disposable {
  readonly fd: number
  readonly path: string
  /** Whether another process had it first. */
  readonly waited: boolean

  private constructor(path: string, fd: number, waited: boolean) {
    this.fd = fd
    this.path = path
    this.waited = waited
  }

  static async claim(tmp: string, url: string, {waiting}: ClaimOptions): Promise<DownloadSlot> {
    const path = join(tmp, `sha512-${createHash('sha512').update(url).digest('hex').slice(0, 64)}`)
    let waited = false
    for (;;) {
      const fd = open(path)
      let kept = false
      try {
        for (let pause = 5; !unwrap(native().flock(fd, 'exclusive')); pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
          if (!waited) waiting()
          waited = true
          await sleep(pause)
        }
        // whoever had it removed it, or somebody else's file lies there, which he could still write
        if (!isSame(fstatSync(fd), path)) continue
        if (isOwn(fstatSync(fd))) {
          kept = true
          return new DownloadSlot(path, fd, waited)
        }
        remove(path)
      } finally {
        if (!kept) closeSync(fd)
      }
    }
  }

  /** What an earlier process left: so many bytes of the version that `validator` names. Null when nothing can be made of it. */
  partial(): {readonly size: number; readonly validator: string} | null {
    const {size} = fstatSync(this.fd)
    if (size === 0) return null
    try {
      const [boot, validator = ''] = readFileSync(this.#companion, 'utf8').split('\n')
      // after a crash of the machine the file may hold less than its size says
      return boot === bootId() && validator !== '' ? {size, validator} : null
    } catch {
      return null
    }
  }

  /** Records what the bytes to come are of, before they come. */
  remember(validator: string | undefined): void {
    rmSync(this.#companion, {force: true})
    if (validator !== undefined) writeFileSync(this.#companion, `${bootId()}\n${validator}\n`, {flag: 'wx', mode: MODE})
  }

  /** Removes the file: what succeeded is in the store, what failed begins anew. */
  [Symbol.dispose](): void {
    rmSync(this.#companion, {force: true})
    rmSync(this.path, {force: true})
    closeSync(this.fd)
  }

  get #companion(): string {
    return `${this.path}.etag`
  }
}

/** Another user's file can be waited for. */
function open(path: string): number {
  try {
    return openSync(path, FLAGS, MODE)
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    if (code === 'ELOOP') {
      remove(path)
      return open(path)
    }
    if (code !== 'EACCES') throw unusable(path, error)
  }
  try {
    return openSync(path, READ_FLAGS)
  } catch (error) {
    throw unusable(path, error)
  }
}

function remove(path: string): void {
  try {
    rmSync(path, {force: true})
  } catch (error) {
    throw unusable(path, error)
  }
}

function unusable(path: string, error: unknown): RktError {
  return new RktError('RKT_FETCH_FAILED', 'error setting up temporary file', {cause: systemError('open', path, error)})
}

function isOwn(stats: Stats): boolean {
  return stats.isFile() && stats.uid === process.geteuid?.() && (stats.mode & 0o022) === 0 && stats.nlink === 1
}

function isSame(held: Stats, path: string): boolean {
  const now = statSync(path, {throwIfNoEntry: false})
  return now?.dev === held.dev && now.ino === held.ino
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

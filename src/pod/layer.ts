import {chmodSync, chownSync, lstatSync, type Stats, symlinkSync, unlinkSync} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {isAbsent} from './absent.ts'
import {makeDirectory, writeNew} from './files.ts'

/**
 * A tree of a pod that is written to before it is in use: the upper directory of an overlay, or a plain copy. A directory that
 * exists in the lower tree is made with its owner and mode, so that the merged one looks as if nothing had been written.
 */
export class Layer {
  readonly #root: string
  readonly #lower: string | undefined

  /** Over an overlay's upper directory, which is made like the root of `lower`. */
  static upper(root: string, lower: string): Layer {
    makeLike(root, lstatSync(lower))
    return new Layer(root, lower)
  }

  /** Over a tree that is there as a whole. */
  static copy(root: string): Layer {
    return new Layer(root, undefined)
  }

  private constructor(root: string, lower: string | undefined) {
    this.#root = root
    this.#lower = lower
  }

  /** What an app would see there, links not followed; undefined when there is nothing. */
  stat(path: string): Stats | undefined {
    const own = lstatSync(join(this.#root, path), {throwIfNoEntry: false})
    if (own || this.#lower === undefined) return own
    return lstatSync(join(this.#lower, path), {throwIfNoEntry: false})
  }

  /** Makes a directory and what is missing above it. No link is followed: it could lead out of the pod. */
  directory(path: string): void {
    let at = ''
    for (const part of path.split('/')) {
      at = join(at, part)
      const here = join(this.#root, at)
      const stat = lstatSync(here, {throwIfNoEntry: false})
      if (stat === undefined)
        makeLike(here, this.#lower === undefined ? undefined : lstatSync(join(this.#lower, at), {throwIfNoEntry: false}))
      else if (!stat.isDirectory()) throw new RktError('RKT_POD_TREE', `${here} is not a directory`)
    }
  }

  /** Writes a file in a directory that was made, in place of whatever is there. */
  file(path: string, content: string | Uint8Array, mode: number): void {
    const here = join(this.#root, path)
    try {
      unlinkSync(here)
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
    writeNew(here, content, mode)
  }

  link(path: string, target: string): void {
    symlinkSync(target, join(this.#root, path))
  }
}

/** Whatever is no directory in the lower tree is hidden by one of ours. */
function makeLike(path: string, lower: Stats | undefined): void {
  const like = lower?.isDirectory() ? lower : undefined
  makeDirectory(path, 0o755)
  if (like && (like.uid !== 0 || like.gid !== 0)) chownSync(path, like.uid, like.gid)
  // Below a directory with the set-group-ID bit a new one has it as well.
  chmodSync(path, like ? like.mode & 0o7777 : 0o755)
}

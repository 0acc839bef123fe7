import {chmodSync, lchownSync, lstatSync, type Stats, symlinkSync, unlinkSync} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import type {IdRange} from '../native/index.ts'
import {isSystemRoot} from '../privileges.ts'
import {isAbsent} from './absent.ts'
import {makeDirectory, writeNew} from './files.ts'

/**
 * A tree of a pod that is written to before it is in use: the upper directory of an overlay, or a plain copy. A directory that
 * exists in the lower tree is made with its owner and mode, so that the merged one looks as if nothing had been written.
 */
export class Layer {
  readonly #root: string
  readonly #lower: string | undefined
  readonly #ids: IdRange | undefined

  /** Over an overlay's upper directory, which is made like the root of `lower`. What is written belongs to `ids`, not to the host. */
  static upper(root: string, lower: string, ids?: IdRange): Layer {
    const layer = new Layer(root, lower, ids)
    layer.#makeLike(root, lstatSync(lower))
    return layer
  }

  /** Over a tree that is there as a whole. */
  static copy(root: string, ids?: IdRange): Layer {
    return new Layer(root, undefined, ids)
  }

  private constructor(root: string, lower: string | undefined, ids: IdRange | undefined) {
    this.#root = root
    this.#lower = lower
    this.#ids = ids
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
        this.#makeLike(here, this.#lower === undefined ? undefined : lstatSync(join(this.#lower, at), {throwIfNoEntry: false}))
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
    this.#own(here, {gid: 0, uid: 0})
  }

  link(path: string, target: string): void {
    symlinkSync(target, join(this.#root, path))
    this.#own(join(this.#root, path), {gid: 0, uid: 0})
  }

  /** Whatever is no directory in the lower tree is hidden by one of ours. */
  #makeLike(path: string, lower: Stats | undefined): void {
    const like = lower?.isDirectory() ? lower : undefined
    makeDirectory(path, 0o755)
    this.#own(path, like ?? {gid: 0, uid: 0})
    // Below a directory with the set-group-ID bit a new one has it as well.
    chmodSync(path, like ? like.mode & 0o7777 : 0o755)
  }

  /** Gives something of ours, which belongs to root, to an owner as the image has it. */
  #own(path: string, {gid, uid}: {readonly gid: number; readonly uid: number}): void {
    const [owner, group] = [this.#outside(uid), this.#outside(gid)]
    if (owner === 0 && group === 0) return
    try {
      lchownSync(path, owner, group)
    } catch (error) {
      // An ordinary user who had more ids when the image was rendered has nobody to give it to now.
      if (isSystemRoot() || !(error instanceof Error && 'code' in error && error.code === 'EINVAL')) throw error
    }
  }

  /** An id that the pod has not is nobody's inside, and stays so. */
  #outside(id: number): number {
    if (!this.#ids) return id
    return id < this.#ids.count ? this.#ids.base + id : overflowId
  }
}

/** The kernel's number for who is nobody in a user namespace. */
const overflowId = 65534

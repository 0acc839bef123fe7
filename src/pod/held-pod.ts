import {renameSync} from 'node:fs'
import {join} from 'node:path'
import {type FileLock, flush} from '../native/index.ts'
import type {nextDirectories, PodDirectory} from './state.ts'
import type {PodUuid} from './uuid.ts'

type Next<D extends PodDirectory> = (typeof nextDirectories)[D][number]

/**
 * A pod whose lock this process holds exclusively. The lock is on the directory itself, so it stays with the pod over its renames,
 * and falls when the process does.
 */
export class HeldPod<D extends PodDirectory = PodDirectory> implements Disposable {
  readonly uuid: PodUuid
  readonly directory: D
  readonly path: string
  readonly #root: string
  readonly #lock: FileLock

  constructor(root: string, uuid: PodUuid, directory: D, lock: FileLock) {
    this.uuid = uuid
    this.directory = directory
    this.path = join(root, directory, uuid)
    this.#root = root
    this.#lock = lock
  }

  /** Close-on-exec, as every descriptor of ours; only becoming the pod hands it on. */
  get lockFd(): number {
    return this.#lock.fd
  }

  /** The pod in its next state, with the same lock. Not `durable`: a power cut may undo it. */
  moveTo<N extends Next<D>>(next: N, {durable = true}: {durable?: boolean} = {}): HeldPod<N> {
    movePod(this.#root, this.uuid, this.directory, next, {durable})
    return new HeldPod(this.#root, this.uuid, next, this.#lock)
  }

  release(): void {
    this.#lock.release()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/** One transition of one pod: a rename, made durable in the parent that gains it. */
export function movePod<D extends PodDirectory>(root: string, uuid: PodUuid, from: D, to: Next<D>, {durable = true} = {}): void {
  renameSync(join(root, from, uuid), join(root, to, uuid))
  if (durable) flush(join(root, to))
}

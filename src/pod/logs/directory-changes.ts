import {type FSWatcher, watch} from 'node:fs'

/** Changes of a directory, as the kernel tells of them; one answer for all that came since the last. */
export class DirectoryChanges implements Disposable {
  #watcher: FSWatcher | undefined
  #hasChanged = false
  #wake = () => {}

  constructor(directory: string) {
    try {
      this.#watcher = watch(directory, () => this.notice())
      // It was removed.
      this.#watcher.on('error', () => {
        this[Symbol.dispose]()
        this.notice()
      })
    } catch {
      // There is no such directory, or this machine has no watches left.
    }
  }

  get isWatched(): boolean {
    return this.#watcher !== undefined
  }

  /** Something else that is waited for as well. */
  notice(): void {
    this.#hasChanged = true
    this.#wake()
  }

  /** Waits for a change, no longer than it is told. */
  async next(patienceMs?: number): Promise<void> {
    if (!this.#hasChanged) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (patienceMs !== undefined) timer = setTimeout(resolve, patienceMs)
      })
      clearTimeout(timer)
    }
    this.#hasChanged = false
  }

  [Symbol.dispose](): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }
}

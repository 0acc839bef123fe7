/** Watches of directories by inotify, by name: at most one of each, and none that cannot be. */

import {type FSWatcher, watch} from 'node:fs'

export class Watches implements Disposable {
  readonly #watches = new Map<string, FSWatcher>()

  /**
   * Calls `changed` with the name of what changed in the directory, under the watch's `name`; a watch of that name stays as it is. False
   * when the directory cannot be watched: it is not there, may not be read, or the kernel has no watches left.
   */
  add(name: string, path: string, changed: (entry: string) => void): boolean {
    if (this.#watches.has(name)) return true
    try {
      const watcher = watch(path, (_, entry) => changed(entry ?? ''))
      this.#watches.set(name, watcher)
      // The directory was removed.
      watcher.on('error', () => this.remove(name))
      return true
    } catch {
      return false
    }
  }

  has(name: string): boolean {
    return this.#watches.has(name)
  }

  remove(name: string): void {
    this.#watches.get(name)?.close()
    this.#watches.delete(name)
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#watches.keys()]) this.remove(name)
  }
}

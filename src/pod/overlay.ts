import {chmodSync, chownSync, closeSync, existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {type IdRange, native, type OverlayMount, unwrap} from '../native/index.ts'
import {isSystemRoot} from '../privileges.ts'
import type {TreeId} from '../treestore/index.ts'
import type {PodEngine} from './engine-slice.ts'
import {makeDirectory} from './files.ts'
import {Layer} from './layer.ts'
import {podFiles} from './paths.ts'

/** A mount of one tree in a pod, with the layer that holds what the pod writes there. */
export interface PodOverlay {
  readonly layer: Layer
  readonly mount: OverlayMount
}

/**
 * The directories of a pod's overlays: `overlay/TREEID/{upper,work}` for stage1, with one directory more per app. `base` is where
 * they are made, `home` the pod's path when it is mounted.
 */
export class PodOverlays implements Disposable {
  readonly #base: string
  readonly #home: string
  readonly #group: number | undefined
  readonly #ids: IdRange | undefined
  readonly #treestore: PodEngine['treestore']
  /** Views of trees that are stacks of layers; nobody else sees them. */
  readonly #views: number[] = []

  /** The layers belong to `ids`, where the pod has its own. */
  constructor(treestore: PodEngine['treestore'], base: string, home: string, ids?: IdRange) {
    this.#treestore = treestore
    this.#base = base
    this.#home = home
    this.#ids = ids
    this.#group = rktGroup()
    if (!existsSync(join(base, podFiles.overlay))) makeDirectory(join(base, podFiles.overlay), 0o750)
    // The set-group-ID bit would go on into what the apps see.
    chmodSync(join(base, podFiles.overlay), 0o750)
  }

  stage1(tree: TreeId): PodOverlay {
    return this.#overlay(tree, '', podFiles.stage1Rootfs)
  }

  app(tree: TreeId, name: string, target: string): PodOverlay {
    return this.#overlay(tree, name, target)
  }

  #overlay(tree: TreeId, name: string, target: string): PodOverlay {
    const directory = join(podFiles.overlay, tree)
    const here = join(this.#base, directory)
    if (!existsSync(here)) this.#makeTreeDirectory(here)
    if (name !== '')
      for (const part of ['upper', 'work'])
        if (!existsSync(join(here, part))) makeDirectory(join(here, part), part === 'upper' ? 0o755 : 0o750)
    const lowers = this.#treestore.lowers(tree)
    const layer = Layer.upper(join(here, 'upper', name), this.#asOne(lowers), this.#ids)
    makeDirectory(join(here, 'work', name), 0o750)
    const at = (part: string) => join(this.#home, directory, part, name)
    return {layer, mount: {lowers, target: join(this.#home, target), upper: at('upper'), work: at('work')}}
  }

  /** Gives the views back. Layers cannot be written afterwards. */
  [Symbol.dispose](): void {
    for (const view of this.#views.splice(0)) closeSync(view)
  }

  /** What lies below the upper directory, as one tree. */
  #asOne(lowers: readonly string[]): string {
    const [only] = lowers
    if (lowers.length === 1 && only !== undefined) return only
    const view = unwrap(native().overlayView(lowers))
    this.#views.push(view)
    // with a slash, for it is the directory that is meant, not the link to it
    return `/proc/self/fd/${view}/`
  }

  #makeTreeDirectory(path: string): void {
    makeDirectory(path, 0o750)
    if (this.#group !== undefined) chownSync(path, 0, this.#group)
  }
}

/** The members of group `rkt` may read what pods wrote. */
function rktGroup(): number | undefined {
  if (!isSystemRoot()) return undefined
  try {
    const id = /^rkt:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'latin1'))?.[1]
    return id === undefined ? undefined : Number(id)
  } catch {
    // A system without the file has no such group.
    return undefined
  }
}

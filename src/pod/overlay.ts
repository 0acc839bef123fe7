import {chmodSync, chownSync, existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import type {OverlayMount} from '../native/index.ts'
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
export class PodOverlays {
  readonly #base: string
  readonly #home: string
  readonly #group: number | undefined
  readonly #treestore: PodEngine['treestore']

  constructor(treestore: PodEngine['treestore'], base: string, home: string) {
    this.#treestore = treestore
    this.#base = base
    this.#home = home
    this.#group = rktGroup()
    makeDirectory(join(base, podFiles.overlay), 0o750)
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
    const lower = this.#treestore.rootfsPath(tree)
    const layer = Layer.upper(join(here, 'upper', name), lower)
    makeDirectory(join(here, 'work', name), 0o750)
    const at = (part: string) => join(this.#home, directory, part, name)
    return {layer, mount: {lowers: [lower], target: join(this.#home, target), upper: at('upper'), work: at('work')}}
  }

  #makeTreeDirectory(path: string): void {
    makeDirectory(path, 0o750)
    if (this.#group !== undefined) chownSync(path, 0, this.#group)
  }
}

/** The members of group `rkt` may read what pods wrote. */
function rktGroup(): number | undefined {
  try {
    const id = /^rkt:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'latin1'))?.[1]
    return id === undefined ? undefined : Number(id)
  } catch {
    // A system without the file has no such group.
    return undefined
  }
}

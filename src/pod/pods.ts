import {existsSync, lstatSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import {FileLock} from '../native/index.ts'
import {isAbsent} from './absent.ts'
import {makeDirectories, makeDirectory} from './files.ts'
import {HeldPod} from './held-pod.ts'
import {ignoresLock, nameableDirectories, type PodDirectory, type PodState, podDirectories, stateOf} from './state.ts'
import {isPodUuid, matchUuid, type PodUuid, randomPodUuid} from './uuid.ts'

/** A pod as it was when somebody looked; only its lock can keep it so. */
export interface Pod<S extends PodState = PodState> {
  readonly uuid: PodUuid
  readonly state: S
  readonly directory: PodDirectory
  readonly path: string
}

export const isInState = <S extends PodState>(pod: Pod, ...states: readonly S[]): pod is Pod<S> =>
  (states as readonly PodState[]).includes(pod.state)

// A probe holds a shared lock for a moment, and every other command may be probing.
const probePatienceMs = 2000

/** All pods below `DATADIR/pods`. */
export class Pods {
  readonly root: string
  readonly #diagnostics: Diagnostics

  constructor(dataDir: string, diagnostics: Diagnostics) {
    this.root = join(dataDir, 'pods')
    this.#diagnostics = diagnostics
  }

  /** A new pod in `prepare`, which this process holds. */
  create(): HeldPod<'prepare'> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const pod = this.#tryCreate(randomPodUuid())
      if (pod) return pod
    }
    throw new RktError('RKT_POD_LOCKED', `every new pod below ${this.root} was taken away by another process`)
  }

  /** Null when `gc` took the embryo for that of a dead process, which it looks like until it is locked. */
  #tryCreate(uuid: PodUuid): HeldPod<'prepare'> | null {
    const path = join(this.root, 'embryo', uuid)
    this.#makePodDirectory(path)
    let lock: FileLock | null = null
    try {
      lock = FileLock.tryAcquire(path, 'exclusive')
      // Nothing is lost with a pod that a power cut throws back to its birth.
      return lock && new HeldPod(this.root, uuid, 'embryo', lock).moveTo('prepare', {durable: false})
    } catch (error) {
      lock?.release()
      if (isAbsent(error)) return null
      throw error
    }
  }

  #makePodDirectory(path: string): void {
    try {
      makeDirectory(path, 0o750)
    } catch (error) {
      if (!isAbsent(error)) throw error
      this.#makeParents()
      makeDirectory(path, 0o750)
    }
  }

  /** The UUID that a user means by a prefix of it. */
  resolve(text: string): PodUuid {
    const lower = text.toLowerCase()
    if (isPodUuid(lower) && nameableDirectories.some((directory) => existsSync(join(this.root, directory, lower)))) return lower
    return matchUuid(
      text,
      this.#entries(nameableDirectories).map(({uuid}) => uuid),
    )
  }

  /** The pod that a user names by a prefix of its UUID. */
  get(text: string): Pod {
    try {
      const uuid = this.resolve(text)
      return this.inspect(uuid) ?? notPresent(uuid)
    } catch (cause) {
      throw new RktError('RKT_POD_RETRIEVE', 'problem retrieving pod', {cause, hint: cause instanceof RktError ? cause.hint : undefined})
    }
  }

  /**
   * The pod's state now, or undefined when it is nowhere. Pods only ever move on in the order of `podDirectories`, so a search in
   * that order, from wherever the pod was seen last, cannot miss one that moves meanwhile.
   */
  inspect(uuid: PodUuid, seenIn: PodDirectory = 'embryo'): Pod | undefined {
    for (const directory of podDirectories.slice(podDirectories.indexOf(seenIn))) {
      const path = join(this.root, directory, uuid)
      if (!existsSync(path)) continue
      const held = ignoresLock(directory) ? false : isHeld(path)
      // An unlocked pod may have been finished and moved between look and probe: "exited" must not be said of one that is "prepared".
      if (held === undefined || (!held && !existsSync(path))) continue
      return {directory, path, state: stateOf(directory, held), uuid}
    }
    return undefined
  }

  /** The pods of some directories, by UUID. What cannot be read is said and left out. */
  list(directories: readonly PodDirectory[]): Pod[] {
    const pods: Pod[] = []
    for (const {directory, uuid} of this.#entries(directories)) {
      try {
        const pod = this.inspect(uuid, directory)
        if (pod && directories.includes(pod.directory)) pods.push(pod)
      } catch (error) {
        this.#diagnostics.note('pods', `skipping "${uuid}": ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return pods
  }

  /** Takes a pod's lock exclusively, or answers null when somebody keeps it or the pod has moved on. */
  async hold<D extends PodDirectory>(uuid: PodUuid, directory: D): Promise<HeldPod<D> | null> {
    const path = join(this.root, directory, uuid)
    let lock: FileLock
    try {
      if (isHeld(path) !== false) return null
      lock = await FileLock.acquire(path, 'exclusive', {timeoutMs: probePatienceMs})
    } catch (error) {
      if (isAbsent(error) || isTimeout(error)) return null
      throw error
    }
    if (existsSync(path)) return new HeldPod(this.root, uuid, directory, lock)
    lock.release()
    return null
  }

  #entries(directories: readonly PodDirectory[]): {uuid: PodUuid; directory: PodDirectory}[] {
    const found = new Map<PodUuid, PodDirectory>()
    for (const directory of podDirectories) {
      if (!directories.includes(directory)) continue
      for (const entry of this.#read(directory)) {
        if (!entry.isDirectory()) this.#diagnostics.note('pods', `unrecognized entry: "${entry.name}", ignoring`)
        else if (!isPodUuid(entry.name)) this.#diagnostics.note('pods', `skipping "${entry.name}": not a UUID`)
        else if (!found.has(entry.name)) found.set(entry.name, directory)
      }
    }
    return [...found].map(([uuid, directory]) => ({directory, uuid})).sort((a, b) => (a.uuid < b.uuid ? -1 : 1))
  }

  #read(directory: PodDirectory) {
    const path = join(this.root, directory)
    try {
      return readdirSync(path, {withFileTypes: true})
    } catch (error) {
      if (!isAbsent(error)) throw error
      this.#makeParents()
      return readdirSync(path, {withFileTypes: true})
    }
  }

  /** The first comes last: where it is, whoever makes a pod in it finds the others. */
  #makeParents(): void {
    makeDirectories(this.root, 0o750)
    for (const directory of podDirectories.toReversed()) makeDirectories(join(this.root, directory), 0o750)
  }
}

/** Whether somebody holds the pod exclusively; undefined when it is not there any more. */
export function isHeld(path: string): boolean | undefined {
  try {
    using lock = FileLock.tryAcquire(path, 'shared')
    return lock === null
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

const isTimeout = (error: unknown) => error instanceof RktError && error.code === 'RKT_LOCKED'

/** When the pod's directory was last renamed: what its age is counted from. */
export const movedAt = (pod: {path: string}): bigint => lstatSync(pod.path, {bigint: true}).ctimeNs

export function notPresent(uuid: PodUuid): never {
  throw new RktError('RKT_POD_NOT_FOUND', `pod "${uuid}" was not present`)
}

/**
 * All pods of the host, in memory. Each is read when something of it changed, which inotify and pidfds tell; a request costs no look at
 * the disk. What cannot be watched (no permission, no watches left) is read at every request instead.
 */

import {join} from 'node:path'
import {isDeepStrictEqual} from 'node:util'
import {toBinary} from '@bufbuild/protobuf'
import {
  type Engine,
  isPodUuid,
  nameableDirectories,
  PodContents,
  type Pod as PodPlace,
  type PodUuid,
  ProcessEnds,
  podDirectories,
} from '@rkt/engine'
import {ListPodsResponseSchema, type Pod, PodSchema} from '../generated/v1alpha_pb.js'
import {encodeField} from '../server/definition.ts'
import {lockHolder} from './lock-holder.ts'
import {type PodFacts, readPod} from './pod-facts.ts'
import {Watches} from './watches.ts'

/** A pod that changed: what was known before, and now; undefined where it did not exist. */
export type PodChange = (before: PodFacts | undefined, after: PodFacts | undefined) => void

/** A pod in memory. */
export interface CachedPod {
  readonly facts: PodFacts
  /** As one field of a list of pods, without its manifest. */
  readonly encoded: Buffer
}

interface Entry extends CachedPod {
  /** The same with the manifest; made when it is first asked for. */
  detailed?: Buffer
}

/** The process whose end changes a pod. */
interface Process {
  readonly pid: number
  hasEnded: boolean
}

/** A pod that changes all the time is read no more often than this. */
const restMs = 20
/** So many are read in one turn. */
const turn = 64
/** For how long a pod whose process has ended may be held by others of its processes. */
const lingerMs = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]

export class PodCache implements Disposable {
  readonly #engine: Pick<Engine, 'pods'>
  readonly #note: (line: string) => void
  readonly #changed: PodChange
  readonly #entries = new Map<PodUuid, Entry>()
  readonly #dirty = new Set<PodUuid>()
  readonly #processes = new Map<PodUuid, Process>()
  /** Pods of which something cannot be watched. */
  readonly #unwatched = new Set<PodUuid>()
  readonly #watches = new Watches()
  readonly #ends = new ProcessEnds()
  #timer: NodeJS.Timeout | undefined
  #sorted: readonly Entry[] | undefined
  #isUnwatched = false

  constructor(engine: Pick<Engine, 'pods'>, note: (line: string) => void, changed: PodChange) {
    this.#engine = engine
    this.#changed = changed
    this.#note = note
  }

  /** Begins to watch, then reads what is there: nothing comes between. Of these first pods nobody is told. */
  start(): void {
    try {
      this.#scan()
    } catch (error) {
      // Whoever asks for pods is told then.
      this.#isUnwatched = true
      this.#note(`pods cannot be listed: ${error instanceof Error ? error.message : String(error)}`)
      return
    }
    if (this.#isUnwatched) this.#note(`${this.#engine.pods.root} cannot be watched: pods are read at every request`)
  }

  #watchDirectories(): void {
    const {pods} = this.#engine
    this.#isUnwatched = false
    for (const directory of podDirectories) {
      const there = this.#watches.add(`/${directory}`, join(pods.root, directory), (entry) => this.#touch(entry))
      if (!there) this.#isUnwatched = true
    }
  }

  #scan(): void {
    this.#watchDirectories()
    const found = new Set<PodUuid>()
    for (const {uuid} of this.#engine.pods.list(podDirectories)) {
      found.add(uuid)
      this.#read(uuid)
    }
    for (const uuid of this.#entries.keys()) if (!found.has(uuid)) this.#read(uuid)
    // The directories may have been made by the listing.
    if (this.#isUnwatched) this.#watchDirectories()
  }

  /** The pods that have a name, in the order of their UUIDs, as they are now. */
  async list(): Promise<readonly CachedPod[]> {
    await this.#settle()
    this.#sorted ??= [...this.#entries.values()]
      .filter(({facts: {place}}) => (nameableDirectories as readonly string[]).includes(place.directory))
      .sort(({facts: a}, {facts: b}) => (a.place.uuid < b.place.uuid ? -1 : 1))
    return this.#sorted
  }

  /** The pod of that UUID, as it is now. */
  async get(uuid: PodUuid): Promise<CachedPod | undefined> {
    await this.#settle()
    return this.#entries.get(uuid)
  }

  /** A pod as one field of a list, with its manifest. */
  detailed({facts, encoded}: CachedPod): Buffer {
    const entry = this.#entries.get(facts.place.uuid)
    if (entry?.encoded !== encoded) return encodePod(withManifest(facts))
    entry.detailed ??= encodePod(withManifest(facts))
    return entry.detailed
  }

  /** What happened before this call is known after it. */
  async #settle(): Promise<void> {
    // All that the kernel had to tell when the request was read has been taken in by then.
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#isUnwatched) this.#scan()
    for (const uuid of this.#unwatched) this.#dirty.add(uuid)
    for (const [uuid, {hasEnded, pid}] of this.#processes) {
      // The end of a process is told by another thread, which may be late; asking costs no look at the disk.
      if (hasEnded || !isAlive(pid)) this.#dirty.add(uuid)
    }
    await this.#readDirty()
  }

  #touch(entry: string): void {
    if (!isPodUuid(entry)) return
    this.#dirty.add(entry)
    this.#timer ??= setTimeout(() => void this.#readDirty(), restMs)
  }

  /** Reads what changed, others getting their turn in between: many pods may change at once. */
  async #readDirty(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (let count = 1; this.#dirty.size > 0; count++) {
      const [uuid] = this.#dirty
      if (uuid === undefined) break
      this.#dirty.delete(uuid)
      this.#read(uuid)
      if (count % turn === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #read(uuid: PodUuid): void {
    const before = this.#entries.get(uuid)
    let place: PodPlace | undefined
    try {
      place = this.#engine.pods.inspect(uuid)
    } catch (error) {
      this.#note(`skipping "${uuid}": ${error instanceof Error ? error.message : String(error)}`)
    }
    if (place === undefined) {
      if (before === undefined) return
      this.#forget(uuid)
      this.#changed(before.facts, undefined)
      return
    }
    // Watched first: what changes while it is read is read again.
    const isWatched = this.#watchFiles(place)
    const facts = readPod(place, before?.facts, this.#note)
    if (isWatched && this.#watchProcess(facts)) this.#unwatched.delete(uuid)
    else this.#unwatched.add(uuid)
    const encoded = encodePod(facts.message)
    if (before && isSame(before, {encoded, facts})) return
    this.#entries.set(uuid, {encoded, facts})
    this.#sorted = undefined
    this.#changed(before?.facts, facts)
  }

  /** Whether all files are watched that a pod in this state can change. */
  #watchFiles({directory, path, state, uuid}: PodPlace): boolean {
    const touch = () => this.#touch(uuid)
    const [own, statuses] = [uuid, `${uuid}/status`]
    if (directory !== 'run') this.#watches.remove(own)
    if (state !== 'running') this.#watches.remove(statuses)
    // Elsewhere it changes by being moved, which its parents tell.
    if (directory !== 'run') return true
    const isWatched = this.#watches.add(own, path, touch)
    if (state !== 'running') return isWatched
    try {
      return this.#watches.add(statuses, new PodContents({path}).statusDirectory(), touch) && isWatched
    } catch {
      // It moved on, or its files are damaged.
      return false
    }
  }

  /** Whether the end of the process is told that a pod in this state depends on. */
  #watchProcess({message, place: {path, state, uuid}}: PodFacts): boolean {
    const known = this.#processes.get(uuid)
    const pid = state === 'running' ? message.pid : state === 'preparing' || state.endsWith('deleting') ? lockHolder(path) : undefined
    if (pid === undefined || pid <= 0) {
      if (known) this.#ends.forget(known.pid)
      this.#processes.delete(uuid)
      // One that has just started tells its pid by a file.
      return pid === undefined ? state !== 'preparing' : state === 'running'
    }
    if (known?.pid === pid) return true
    if (known) this.#ends.forget(known.pid)
    const process: Process = {hasEnded: false, pid}
    this.#processes.set(uuid, process)
    this.#ends.watch(pid, (end) => {
      if (this.#processes.get(uuid) !== process) return
      process.hasEnded = true
      if (end === 'ended') this.#linger(uuid, process, 0)
    })
    return true
  }

  /** Reads a pod whose process has ended until the last of its processes has given up its lock. */
  #linger(uuid: PodUuid, process: Process, attempt: number): void {
    this.#read(uuid)
    const pause = lingerMs[attempt]
    if (this.#processes.get(uuid) === process && pause !== undefined) {
      setTimeout(() => this.#linger(uuid, process, attempt + 1), pause).unref()
    }
  }

  #forget(uuid: PodUuid): void {
    this.#entries.delete(uuid)
    this.#unwatched.delete(uuid)
    this.#watches.remove(uuid)
    this.#watches.remove(`${uuid}/status`)
    const process = this.#processes.get(uuid)
    if (process) this.#ends.forget(process.pid)
    this.#processes.delete(uuid)
    this.#sorted = undefined
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#watches[Symbol.dispose]()
    this.#ends[Symbol.dispose]()
  }
}

const encodePod = (pod: Pod) => encodeField(ListPodsResponseSchema.field.pods.number, toBinary(PodSchema, pod))

/** A pod with its manifest, as it is inspected. */
export const withManifest = ({manifest, message}: PodFacts): Pod => ({...message, manifest})

function isSame(before: CachedPod, after: CachedPod): boolean {
  const {facts: a} = before
  const {facts: b} = after
  return (
    a.place.path === b.place.path &&
    a.place.state === b.place.state &&
    a.fixed === b.fixed &&
    before.encoded.equals(after.encoded) &&
    // An app that begins or ends well changes nothing of its pod.
    isDeepStrictEqual([a.starts, a.statuses], [b.starts, b.statuses])
  )
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Another user's process is one that lives.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

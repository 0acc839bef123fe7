/**
 * Reads what a pod directory holds. The files of stage0 are trusted; whatever lies below the root file system of stage1 may have been
 * written by the pod, so it is read as a bounded regular file, no link followed.
 */

import {existsSync, readFileSync, statSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {type ImageManifest, type PodManifest, parseImageManifest, parsePodManifest} from '../appc/index.ts'
import {native} from '../native/index.ts'
import type {TreeId} from '../treestore/index.ts'
import {readIfPresent} from './absent.ts'
import {appManifest, appTreeId, podFiles, statusFile, supervisorStatus} from './paths.ts'

/** Nanoseconds since 1970; a Date would lose what the JSON forms promise. */
export type Instant = bigint

export const toDate = (instant: Instant): Date => new Date(Number(instant / 1_000_000n))

/** What the directory of a pod says, read when asked. */
export class PodContents {
  readonly path: string

  constructor({path}: {readonly path: string}) {
    this.path = path
  }

  manifest(): PodManifest {
    const path = join(this.path, podFiles.manifest)
    return parsePodManifest(readFileSync(path), path)
  }

  /** The manifest of an app's image as it was when the pod was prepared. */
  imageManifest(app: string): ImageManifest {
    const path = join(this.path, appManifest(app))
    return parseImageManifest(readFileSync(path), path)
  }

  imageManifestBytes(app: string): Buffer {
    return readFileSync(join(this.path, appManifest(app)))
  }

  stage1Manifest(): ImageManifest {
    const path = join(this.path, podFiles.stage1Manifest)
    return parseImageManifest(readFileSync(path), path)
  }

  get usesOverlay(): boolean {
    return existsSync(join(this.path, podFiles.overlayMarker))
  }

  stage1TreeId(): TreeId {
    return readFileSync(join(this.path, podFiles.stage1TreeId), 'latin1').trim() as TreeId
  }

  appTreeId(app: string): TreeId {
    return readFileSync(join(this.path, appTreeId(app)), 'latin1').trim() as TreeId
  }

  createdAt(): Instant | undefined {
    return this.#modified(podFiles.created) ?? this.#modified(podFiles.manifest)
  }

  startedAt(): Instant | undefined {
    return this.#modified(podFiles.pid) ?? this.#modified(podFiles.ppid)
  }

  /** The process that stands for the pod: its pid 1 as the host counts, or that process's parent. */
  pid(): number | undefined {
    return this.#number(podFiles.pid) ?? this.ppid()
  }

  /** The pod's pid 1 as the host counts, when stage1 wrote it. */
  ownPid(): number | undefined {
    return this.#number(podFiles.pid)
  }

  ppid(): number | undefined {
    return this.#number(podFiles.ppid)
  }

  /** The networks that the pod was attached to; none before it ran and with the host's network. */
  networks(): readonly NetworkInfo[] {
    const text = readIfPresent(join(this.path, podFiles.netInfo))
    if (text === undefined) return []
    const parsed: unknown = JSON.parse(text.toString())
    return Array.isArray(parsed) ? parsed.filter(isNetworkInfo) : []
  }

  /** Where the host finds what stage1 writes: the overlay's upper directory, which needs no mount. */
  stage1Root(): string {
    return this.usesOverlay ? join(this.path, podFiles.overlay, this.stage1TreeId(), 'upper') : join(this.path, podFiles.stage1Rootfs)
  }

  /** The status that an app ended with; undefined while it has none, or when the pod left something there that is not a number. */
  exitStatus(app: string, root: string = this.stage1Root()): number | undefined {
    return exitStatus(root, app)
  }

  /** The system call that an app died of, whose status says that it died of one. */
  refusedCall(app: string, root: string = this.stage1Root()): string | undefined {
    return refusedCall(root, app)
  }

  /** When an app of a mutable pod was added, last started, or ended; undefined where the pod has nothing or something odd in that place. */
  appMoment(app: string, moment: 'created' | 'started' | 'ended', root: string = this.stage1Root()): Instant | undefined {
    const file = moment === 'ended' ? statusFile(app) : `${statusFile(app)}-${moment}`
    const bytes = native().readFileBeneath(root, file, maxStatusBytes)
    if (bytes === null || 'failure' in bytes) return undefined
    return statSync(join(root, file), {bigint: true, throwIfNoEntry: false})?.mtimeNs
  }

  /** When an app of a mutable pod was last started, and when that run ended. The end of the run before does not count. */
  lastRun(app: string, root: string = this.stage1Root()): {readonly started?: Instant; readonly ended?: Instant} {
    const started = this.appMoment(app, 'started', root)
    if (started === undefined) return {}
    const ended = this.appMoment(app, 'ended', root)
    return ended !== undefined && ended >= started ? {ended, started} : {started}
  }

  /** Where statuses of apps appear. */
  statusDirectory(): string {
    return join(this.stage1Root(), dirname(statusFile('app')))
  }

  /** The pod's own host name, once stage1 has decided it. */
  hostname(): string | undefined {
    const bytes = native().readFileBeneath(this.stage1Root(), 'etc/hostname', maxHostnameBytes)
    const name = bytes === null || 'failure' in bytes ? '' : bytes.toString('latin1').trim()
    return /^[\w.-]+$/.test(name) ? name : undefined
  }

  /** The cgroup that stage1 recorded. */
  subcgroup(): string | undefined {
    return readIfPresent(join(this.path, podFiles.subcgroup))?.toString().trim()
  }

  isSupervisorReady(): boolean {
    const target = native().readLinkBeneath(this.stage1Root(), supervisorStatus)
    return target === 'ready'
  }

  #modified(name: string): Instant | undefined {
    return statSync(join(this.path, name), {bigint: true, throwIfNoEntry: false})?.mtimeNs
  }

  #number(name: string): number | undefined {
    const text = readIfPresent(join(this.path, name))?.toString('latin1').trim()
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
  }
}

// A status is a few digits; a pod that writes more does not mean a status.
const maxStatusBytes = 64
const maxHostnameBytes = 256

/** The number in a status file, which the pod may have replaced by anything at all. */
export function exitStatus(root: string, app: string): number | undefined {
  const bytes = native().readFileBeneath(root, statusFile(app), maxStatusBytes)
  // A link, a fifo, a directory or megabytes are no status, and no reason to fail a listing.
  if (bytes === null || 'failure' in bytes) return undefined
  const text = bytes.toString('latin1').trim()
  return /^-?\d{1,10}$/.test(text) ? Number(text) : undefined
}

/** The name in the file beside a status file, or its number; a pod may have replaced it by anything at all. */
function refusedCall(root: string, app: string): string | undefined {
  const bytes = native().readFileBeneath(root, `${statusFile(app)}.syscall`, maxStatusBytes)
  if (bytes === null || 'failure' in bytes) return undefined
  const text = bytes.toString('latin1').trim()
  return /^\w{1,40}$/.test(text) ? text : undefined
}

/** One line of `net-info.json`. */
export interface NetworkInfo {
  readonly netName: string
  readonly netConf: string
  readonly pluginPath: string
  readonly ifName: string
  readonly ip: string
  readonly args: string
  readonly mask: string
}

function isNetworkInfo(value: unknown): value is NetworkInfo {
  return typeof value === 'object' && value !== null && 'netName' in value && 'ip' in value
}

import {constants, lstatSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import type {ImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'

export type EntrypointName = 'run' | 'enter' | 'stop' | 'gc' | 'attach' | 'app/add' | 'app/rm' | 'app/start' | 'app/stop'

/** What a stage1 has to offer so that apps can come and go. */
export const mutableEntrypoints = ['app/rm', 'app/start', 'app/stop'] as const satisfies EntrypointName[]

/** The names of the annotations are the whole of what stage0 knows about a stage1 image. */
export const entrypointAnnotation = (name: EntrypointName): string => `coreos.com/rkt/stage1/${name}`
const interfaceVersionAnnotation = 'coreos.com/rkt/stage1/interface-version'

/** An entrypoint of a stage1 image. */
export interface Entrypoint {
  /** As the image's manifest names it: absolute, inside its root file system. */
  readonly named: string
  /** Where the executable lies below the root file system, with no link left in it. */
  readonly relative: string
}

/** What the manifest says, unchecked. */
export function entrypointPath(manifest: ImageManifest, name: EntrypointName): string {
  const annotation = entrypointAnnotation(name)
  const value = manifest.annotations?.find((each) => each.name === annotation)?.value
  if (value === undefined || value === '') throw new RktError('RKT_STAGE1_ENTRYPOINT', `entrypoint "${annotation}" not found`)
  return value
}

/**
 * The entrypoint `name` of a stage1 image whose tree lies at `rootfs`. The manifest is hostile: a path that leaves the tree, also
 * through a link of the tree, or that is no executable file, is refused.
 */
export function findEntrypoint(manifest: ImageManifest, name: EntrypointName, rootfs: string): Entrypoint {
  const named = entrypointPath(manifest, name)
  const refuse = (reason: string) =>
    new RktError('RKT_STAGE1_ENTRYPOINT', `stage1 image "${manifest.name}" names no usable ${entrypointAnnotation(name)}`, {
      cause: new Error(`${named} ${reason}`),
    })
  if (!named.startsWith('/')) throw refuse('is not an absolute path')
  if (named.includes('\0')) throw refuse('contains a zero byte')
  const relative = resolveBeneath(rootfs, named)
  const stat = relative === undefined ? undefined : lstatSync(join(rootfs, relative), {throwIfNoEntry: false})
  if (relative === undefined || stat === undefined) throw refuse('does not exist in its root file system')
  if (!stat.isFile()) throw refuse('is not a regular file')
  if ((stat.mode & (constants.S_IXUSR | constants.S_IXGRP | constants.S_IXOTH)) === 0) throw refuse('is not executable')
  return {named, relative}
}

const maxLinks = 40

/** `path` with every link resolved as inside a chroot at `root`; undefined when something on the way is missing or never ends. */
function resolveBeneath(root: string, path: string): string | undefined {
  const pending = path.split('/').reverse()
  const done: string[] = []
  let links = 0
  while (pending.length > 0) {
    const part = pending.pop()
    if (part === undefined || part === '' || part === '.') continue
    if (part === '..') {
      done.pop()
      continue
    }
    const here = join(root, ...done, part)
    const stat = lstatSync(here, {throwIfNoEntry: false})
    if (stat === undefined) return undefined
    if (!stat.isSymbolicLink()) {
      if (pending.some((rest) => rest !== '' && rest !== '.') && !stat.isDirectory()) return undefined
      done.push(part)
      continue
    }
    links += 1
    if (links > maxLinks) return undefined
    const target = readlinkSync(here)
    if (target.startsWith('/')) done.length = 0
    pending.push(...target.split('/').reverse())
  }
  return done.join('/')
}

/** The version of the interface that a stage1 image speaks; 1 when it says nothing. */
export function interfaceVersion(manifest: ImageManifest): number {
  const text = manifest.annotations?.find(({name}) => name === interfaceVersionAnnotation)?.value
  if (text === undefined) return 1
  if (!/^[+-]?\d{1,9}$/.test(text)) {
    const cause = new Error(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`)
    throw new RktError('RKT_STAGE1_INTERFACE', 'error parsing interface version', {cause})
  }
  return Number(text)
}

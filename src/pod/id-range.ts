import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import type {IdRange} from '../native/index.ts'
import {readIfPresent} from './absent.ts'
import type {PodEngine} from './engine-slice.ts'
import {writeNew} from './files.ts'
import type {HeldPod} from './held-pod.ts'
import {podFiles} from './paths.ts'
import {dataLock} from './prepare-lock.ts'
import {podDirectories} from './state.ts'

/** As many ids as a range has. */
const count = 0x1_0000

/** Bases of ranges: what systemd keeps for containers (its "Users, Groups, UIDs and GIDs"), above all that systems give to users. */
const area = {first: 0x0008_0000, last: 0x6fff_0000}

/**
 * Gives a pod a range of ids that no other pod of the data directory has, nor will have as long as this one's directory is there, and
 * that nobody of this system owns: it is written into the pod's directory under a lock.
 */
export async function allocateIds({dataDir, pods}: Pick<PodEngine, 'dataDir' | 'pods'>, pod: HeldPod<'prepare'>): Promise<IdRange> {
  using _lock = await dataLock(dataDir, 'idsLock', 'exclusive')
  const base = freeBase([...rangesOfPods(pods.root), ...rangesOfSystem()])
  writeNew(join(pod.path, podFiles.privateUsers), formatIds({base, count}), 0o640)
  return {base, count}
}

/** The ids of a pod; undefined when it has those of the host. */
export function readIds(pod: {readonly path: string}): IdRange | undefined {
  const text = readIfPresent(join(pod.path, podFiles.privateUsers))?.toString('latin1').trim()
  if (!text) return undefined
  const ids = parseIds(text)
  if (ids === null) throw new RktError('RKT_ID_RANGE', `${join(pod.path, podFiles.privateUsers)} holds no range of ids`)
  return ids.count === 0 ? undefined : ids
}

/** `SHIFT:COUNT` */
export const formatIds = ({base, count}: IdRange): string => `${base}:${count}`

function parseIds(text: string): IdRange | null {
  const [, base, number] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  const ids = {base: Number(base), count: Number(number)}
  return ids.base + ids.count <= 0xffff_ffff ? ids : null
}

/** A base, chosen by chance, whose range overlaps none of these. */
export function freeBase(taken: readonly IdRange[], random: () => number = Math.random): number {
  const blocks = (area.last - area.first) / count + 1
  const used = new Set(taken.flatMap((range) => [...blocksOf(range, blocks)]))
  const start = Math.floor(random() * blocks)
  for (let step = 0; step < blocks; step++) {
    const block = (start + step) % blocks
    if (!used.has(block)) return area.first + block * count
  }
  throw new RktError('RKT_ID_RANGE', `every range of ${count} ids belongs to a pod or a user already`, {
    hint: 'Remove pods that have ended ("rkt gc"), or shorten the ranges of /etc/subuid and /etc/subgid.',
  })
}

/** The blocks of the area that a range touches. */
function* blocksOf({base, count: length}: IdRange, blocks: number): Generator<number> {
  const first = Math.max(0, Math.floor((base - area.first) / count))
  const last = Math.min(blocks - 1, Math.floor((base + length - 1 - area.first) / count))
  for (let block = first; block <= last; block++) yield block
}

/**
 * In the order in which pods move on: one that moves while we read is found where it went. What is no range of ours protects nothing.
 */
function rangesOfPods(root: string): IdRange[] {
  return podDirectories.flatMap((directory) => {
    const path = join(root, directory)
    if (!existsSync(path)) return []
    return readdirSync(path).flatMap((name) => {
      const text = readIfPresent(join(path, name, podFiles.privateUsers))
        ?.toString('latin1')
        .trim()
      return (text && parseIds(text)) || []
    })
  })
}

/** Users, groups, and the ranges that users may give to namespaces of theirs (subuid(5)). */
function rangesOfSystem(): IdRange[] {
  const single = ['/etc/passwd', '/etc/group'].flatMap((path) => fieldsOf(path).map(([, , id]) => ({base: Number(id), count: 1})))
  const ranges = ['/etc/subuid', '/etc/subgid'].flatMap((path) =>
    fieldsOf(path).map(([, base, length]) => ({base: Number(base), count: Number(length)})),
  )
  return [...single, ...ranges].filter(({base, count}) => Number.isSafeInteger(base) && Number.isSafeInteger(count) && count > 0)
}

function fieldsOf(path: string): string[][] {
  try {
    return readFileSync(path, 'latin1')
      .split('\n')
      .map((line) => line.split(':'))
  } catch {
    // A system without the file has nobody there.
    return []
  }
}

import {type BigIntStats, lstatSync, readdirSync, readlinkSync} from 'node:fs'
import {systemError} from '../native/index.ts'

/** A file of a tree that is packed. Names are bytes: Linux promises no more of them. */
export interface TreeEntry {
  /** Where it is. */
  readonly path: Buffer
  /** What it is called in the archive, without a leading or trailing slash. */
  readonly name: Buffer
  readonly type: 'block-device' | 'character-device' | 'directory' | 'fifo' | 'file' | 'link' | 'symlink'
  /** The target of a symbolic link, or the archive's name of the first entry that is the same file. */
  readonly linkname: Buffer | null
  readonly stats: BigIntStats
}

const SLASH = Buffer.from('/')

/** The tree below and with `root`, parents first, the names of each directory in the order of their bytes; sockets are left out. */
export function* treeEntries(root: Buffer, name: Buffer): Generator<TreeEntry> {
  const links = new Map<string, Buffer>()
  // `/.` for a root that is named through a link, such as /proc/self/fd/N
  const pending = [{name, path: Buffer.concat([root, Buffer.from('/.')])}]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const entry = entryOf(next.path, next.name, links)
    if (entry === null) continue
    yield entry
    if (entry.type !== 'directory') continue
    const [path, prefix] = [next.path, next.name]
    const children = read('open', path, () => readdirSync(path, {encoding: 'buffer'})).sort(Buffer.compare)
    for (const child of children.reverse()) {
      pending.push({name: Buffer.concat([prefix, SLASH, child]), path: Buffer.concat([path, SLASH, child])})
    }
  }
}

function entryOf(path: Buffer, name: Buffer, links: Map<string, Buffer>): TreeEntry | null {
  const stats = read('lstat', path, () => lstatSync(path, {bigint: true}))
  const type = typeOf(stats)
  if (type === null) return null
  if (type !== 'directory' && stats.nlink > 1n) {
    const inode = `${stats.dev}:${stats.ino}`
    const first = links.get(inode)
    if (first !== undefined) return {linkname: first, name, path, stats, type: 'link'}
    links.set(inode, name)
  }
  const linkname = type === 'symlink' ? read('readlink', path, () => readlinkSync(path, {encoding: 'buffer'})) : null
  return {linkname, name, path, stats, type}
}

function typeOf(stats: BigIntStats): Exclude<TreeEntry['type'], 'link'> | null {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isFIFO()) return 'fifo'
  if (stats.isBlockDevice()) return 'block-device'
  if (stats.isCharacterDevice()) return 'character-device'
  return null
}

function read<T>(op: string, path: Buffer, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw systemError(op, path.toString(), error)
  }
}

import {closeSync, constants, fstatSync, openSync, readFileSync} from 'node:fs'
import type {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {createGzip} from 'node:zlib'
import type {Header, Pack} from 'tar-stream'
import {RktError} from '../errors.ts'
import {type IdRange, native, systemError, unwrap} from '../native/index.ts'
import {descriptorSink, readDescriptor} from './descriptor-streams.ts'
import {writeOutputFile} from './output.ts'
import {paxHeader} from './pax-header.ts'
import {type TreeEntry, treeEntries} from './tree-entries.ts'

export interface PackOptions {
  /** The text of the entry `manifest`. */
  readonly manifest: string
  /** The directory that becomes `rootfs`; `/proc/self/fd/N` is one too. */
  readonly rootfs: string
  readonly compress: boolean
  /** Ids of a pod: an owner among them is written as the pod sees it. */
  readonly ids?: IdRange | undefined
  /** Every entry belongs to root. */
  readonly ownerRoot?: boolean
  /** The time of every entry; without it entries keep theirs, and the manifest has the epoch. */
  readonly timestamp?: Date | undefined
}

type EntryHeader = Partial<Header> & Pick<Header, 'name'>

/** Files up to here are read whole, which spares a stream each. */
const SMALL = 1 << 20
/** What the octal fields of a header as tar-stream writes them can hold. */
const MAX_ID = 0o777777n
const MAX_TIME = 0x7fffffffn
const MAX_SIZE = 0o77777777777n
/** Keeps tar-stream from taking mode 0 for "no mode"; it writes only the permission bits. */
const NOT_ZERO = 0o10000

/**
 * Writes an image archive into a descriptor: the manifest first, for who wants nothing else, then the tree in the order of its
 * names. The bytes depend on the arguments and the files alone: packing the same tree twice gives the same archive.
 */
export async function packAci(options: PackOptions, output: number): Promise<void> {
  const {pack: openPack} = await import('tar-stream')
  const pack = openPack()
  const sink = descriptorSink(output)
  const stream = pack as unknown as Readable
  const written = options.compress ? pipeline(stream, createGzip(), sink) : pipeline(stream, sink)
  await Promise.all([fill(pack, options), written])
}

/** Writes an archive beside its place and gives it its name when it is whole; a failure leaves what was there. */
export async function writeAci(path: string, {overwrite, ...options}: PackOptions & {readonly overwrite: boolean}): Promise<void> {
  await writeOutputFile(path, overwrite, (fd) => packAci(options, fd))
}

async function fill(pack: Pack, options: PackOptions): Promise<void> {
  try {
    const mtime = options.timestamp ?? new Date(0)
    await addEntry(
      pack,
      {gid: 0, gname: 'root', mode: 0o644, mtime, name: 'manifest', type: 'file', uid: 0, uname: 'root'},
      Buffer.from(options.manifest),
    )
    for (const entry of treeEntries(Buffer.from(options.rootfs), Buffer.from('rootfs'))) await addTreeEntry(pack, entry, options)
    pack.finalize()
  } catch (error) {
    pack.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
}

async function addTreeEntry(pack: Pack, entry: TreeEntry, options: PackOptions): Promise<void> {
  const {header, records} = headerOf(entry, options)
  // Between two entries the stream is ours: tar-stream itself can write only text into such a header.
  if (records.size > 0) (pack as unknown as {push(chunk: Buffer): boolean}).push(paxHeader(records))
  if (entry.type !== 'file') {
    await addEntry(pack, header)
    return
  }
  const fd = openSame(entry)
  try {
    if (entry.stats.size <= SMALL) await addEntry(pack, header, readWhole(fd, entry))
    else await addStream(pack, header, fd)
  } finally {
    closeSync(fd)
  }
}

function addEntry(pack: Pack, header: EntryHeader, content?: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve())
    if (content === undefined) pack.entry(header, done)
    else pack.entry(header, content, done)
  })
}

async function addStream(pack: Pack, header: EntryHeader, fd: number): Promise<void> {
  // never more than the header says: the file may grow meanwhile; when it shrinks, tar-stream refuses
  await pipeline(readDescriptor(fd, header.size ?? 0), pack.entry(header) as unknown as NodeJS.WritableStream)
}

/** Opens the file that was looked at, and no other that has taken its name meanwhile. */
function openSame({path, stats}: TreeEntry): number {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw systemError('open', path.toString(), error)
  }
  const opened = fstatSync(fd, {bigint: true})
  if (opened.ino === stats.ino && opened.dev === stats.dev) return fd
  closeSync(fd)
  throw new RktError('RKT_PACK_CHANGED', `${path} was replaced while it was packed`)
}

function readWhole(fd: number, {path, stats}: TreeEntry): Buffer {
  const content = readFileSync(fd)
  if (BigInt(content.length) === stats.size) return content
  throw new RktError('RKT_PACK_CHANGED', `${path} was changed while it was packed`)
}

/** The header of an entry, and the records for what it cannot say. */
function headerOf(entry: TreeEntry, options: PackOptions): {header: EntryHeader; records: Map<string, Buffer>} {
  const {linkname, name, path, stats, type} = entry
  const records = new Map<string, Buffer>()
  const [uid, gid] = options.ownerRoot ? [0n, 0n] : [inside(stats.uid, options.ids), inside(stats.gid, options.ids)]
  const seconds = options.timestamp === undefined ? stats.mtimeNs / 1_000_000_000n : BigInt(Math.floor(options.timestamp.getTime() / 1000))
  const size = type === 'file' ? stats.size : 0n
  const number = (keyword: string, value: bigint, max: bigint) => {
    if (value >= 0n && value <= max) return Number(value)
    records.set(keyword, Buffer.from(String(value)))
    return 0
  }
  const text = (keyword: string, value: Buffer, max: number) => {
    if (value.length <= max && /^[\x20-\x7e]*$/.test(value.toString('latin1'))) return value.toString('latin1')
    records.set(keyword, value)
    return keyword
  }
  if (size > MAX_SIZE) throw new RktError('RKT_PACK_TOO_LARGE', `${path} is larger than an archive can hold`)
  const header: EntryHeader = {
    gid: number('gid', gid, MAX_ID),
    mode: Number(stats.mode & 0o7777n) | NOT_ZERO,
    mtime: new Date(number('mtime', seconds, MAX_TIME) * 1000),
    name: text('path', name, 99),
    size: Number(size),
    type,
    uid: number('uid', uid, MAX_ID),
  }
  if (linkname !== null) header.linkname = text('linkpath', linkname, 100)
  if (options.ownerRoot) Object.assign(header, {gname: 'root', uname: 'root'})
  if (type === 'block-device' || type === 'character-device') Object.assign(header, deviceNumbers(stats.rdev, path))
  if (type !== 'link') addXattrs(records, path)
  return {header, records}
}

/** An id of the pod as the pod sees it; others, which a lower layer that was not shifted has, stay as they are. */
function inside(id: bigint, ids: IdRange | undefined): bigint {
  if (!ids) return id
  const own = id - BigInt(ids.base)
  return own >= 0n && own < BigInt(ids.count) ? own : id
}

/** What Linux keeps in a device number (makedev(3)). */
function deviceNumbers(rdev: bigint, path: Buffer): Pick<EntryHeader, 'devmajor' | 'devminor'> {
  const major = ((rdev >> 32n) & 0xfffff000n) | ((rdev >> 8n) & 0xfffn)
  const minor = ((rdev >> 12n) & 0xffffff00n) | (rdev & 0xffn)
  if (major > MAX_ID || minor > MAX_ID) throw new RktError('RKT_PACK_TOO_LARGE', `the device numbers of ${path} do not fit into an archive`)
  return {devmajor: Number(major), devminor: Number(minor)}
}

function addXattrs(records: Map<string, Buffer>, path: Buffer): void {
  const text = path.toString()
  // The addon takes text; a name that is none has no attributes for us.
  if (!Buffer.from(text).equals(path)) return
  const xattrs = unwrap(native().listXattrs(text)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  for (const {name, value} of xattrs) {
    // of the host's labelling, and of the overlay that the tree may be seen through
    if (name !== 'security.selinux' && !name.startsWith('trusted.overlay.')) records.set(`SCHILY.xattr.${name}`, value)
  }
}

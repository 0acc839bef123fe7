/** Files of an image on this machine, in a directory or an archive: named below its root, and read without being unpacked. */
import {closeSync, constants, fstatSync, openSync, readSync, statfsSync} from 'node:fs'
import {dirname, join, posix} from 'node:path'
import type {Transform} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {RktError} from '../errors.ts'
import {native, systemError, unwrap} from '../native/index.ts'
import {descriptorSink, readDescriptor} from './descriptor-streams.ts'
import {cleanPath, indexTar, type TarFile} from './tar-index.ts'

export interface ImageFile {
  readonly size: number
  /** Its bytes, from the start each time. */
  body(): AsyncGenerator<Buffer>
}

export interface ImageFiles extends Disposable {
  /** A regular file; null when it is absent. */
  open(name: string): ImageFile | null
}

/** Opens a directory, or an archive, compressed or not; `tmp` takes what a compressed one inflates to, without a name. */
export async function openImageFiles(path: string, tmp: string): Promise<ImageFiles> {
  const fd = openRegular(path)
  if (fd === 'directory') return new Directory(path)
  if (fd === null) throw new RktError('RKT_IMAGE_UNREADABLE', `${path} is neither a file nor a directory`)
  let tar = fd
  try {
    tar = await inflated(fd, path, tmp)
    return new Archive(tar, await indexTar(tar, path))
  } catch (error) {
    closeSync(tar)
    throw error
  } finally {
    if (tar !== fd) closeSync(fd)
  }
}

class Directory implements ImageFiles {
  readonly #open = new Set<number>()
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  open(name: string): ImageFile | null {
    const clean = cleanPath(name)
    const fd = clean === null ? null : openRegular(join(this.#root, clean), true)
    if (fd === null || fd === 'directory') return null
    this.#open.add(fd)
    const {size} = fstatSync(fd)
    return {body: () => readDescriptor(fd), size}
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) closeSync(fd)
    this.#open.clear()
  }
}

class Archive implements ImageFiles {
  readonly #fd: number
  readonly #files: ReadonlyMap<string, TarFile>

  constructor(fd: number, files: ReadonlyMap<string, TarFile>) {
    this.#fd = fd
    this.#files = files
  }

  open(name: string): ImageFile | null {
    const clean = cleanPath(name)
    const file = clean === null ? undefined : this.#followed(clean)
    if (file === undefined) return null
    const {offset, size} = file
    return {body: () => readDescriptor(this.#fd, size, offset), size}
  }

  /** One link is followed, to another file of the archive. */
  #followed(name: string): TarFile | undefined {
    const file = this.#files.get(name)
    if (file === undefined || file.link === null) return file
    const target = cleanPath(file.link.startsWith('/') ? file.link : posix.join(dirname(name), file.link))
    const linked = target === null ? undefined : this.#files.get(target)
    return linked?.link === null ? linked : undefined
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

/** Never waits, as opening a pipe would. */
function openRegular(path: string, optional = false): number | 'directory' | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    if (optional && (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENXIO')) return null
    throw new RktError('RKT_IMAGE_UNREADABLE', 'error opening image', {cause: systemError('open', path, error)})
  }
  const stats = fstatSync(fd)
  if (stats.isFile()) return fd
  closeSync(fd)
  return stats.isDirectory() ? 'directory' : null
}

/** The archive itself if it is not compressed. */
async function inflated(fd: number, path: string, tmp: string): Promise<number> {
  const magic = Buffer.alloc(6)
  readSync(fd, magic, 0, magic.length, 0)
  const hex = magic.toString('hex')
  const zlib = await import('node:zlib')
  let inflate: Transform
  if (hex.startsWith('1f8b')) inflate = zlib.createGunzip()
  else if (hex.startsWith('28b52ffd')) inflate = zlib.createZstdDecompress()
  else if (hex.startsWith('425a68') || hex === 'fd377a585a00') {
    throw new RktError('RKT_TAR_INVALID', `${path} is compressed by ${hex.startsWith('42') ? 'bzip2' : 'xz'}`, {
      hint: 'Decompress it first; archives of images may be plain, or compressed by gzip or zstd.',
    })
  } else return fd
  const {bavail, bsize} = statfsSync(tmp)
  const copy = unwrap(native().openTmpFile(tmp))
  try {
    await pipeline(readDescriptor(fd), inflate, limited(bavail * bsize, path), descriptorSink(copy))
    return copy
  } catch (cause) {
    closeSync(copy)
    if (cause instanceof RktError) throw cause
    throw new RktError('RKT_TAR_INVALID', `${path} cannot be inflated`, {cause})
  }
}

/** What the file system has room for, and no more of it. */
function limited(limit: number, path: string) {
  return async function* (source: AsyncIterable<Buffer>) {
    let left = limit
    for await (const chunk of source) {
      left -= chunk.length
      if (left < 0) throw new RktError('RKT_FETCH_TOO_LARGE', `${path} inflates to more than the disk has room for`)
      yield chunk
    }
  }
}

/** A small file as a whole; null when it is absent. */
export async function readImageFile(files: ImageFiles, name: string, limit: number): Promise<Buffer | null> {
  const file = files.open(name)
  if (file === null) return null
  if (file.size > limit) {
    throw new RktError('RKT_OCI_DOCUMENT_INVALID', `${name} has ${file.size} bytes, more than the ${limit} that it may have`)
  }
  const chunks: Buffer[] = []
  for await (const chunk of file.body()) chunks.push(chunk)
  return Buffer.concat(chunks)
}

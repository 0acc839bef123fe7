import {read} from 'node:fs'
import {promisify} from 'node:util'
import {RktError} from '../errors.ts'

/** Where a file of an archive lies in it. */
export interface TarFile {
  readonly offset: number
  readonly size: number
  /** Of a link: what it names, as it is written. */
  readonly link: string | null
}

const readSome = promisify(read)
const BLOCK = 512
/** Names and sizes in extended headers; none of an honest archive is near. */
const MAX_EXTENSION = 1 << 20
const MAX_ENTRIES = 200_000

/**
 * The files of an uncompressed tar by their cleaned names, found by its headers alone: what lies in between is passed over. Of equal
 * names the last counts. Names that lead out of the archive are left out.
 * @throws RktError RKT_TAR_INVALID naming the archive
 */
export async function indexTar(fd: number, shown: string): Promise<ReadonlyMap<string, TarFile>> {
  const invalid = (why: string) => new RktError('RKT_TAR_INVALID', `${shown} is no tar archive that can be read`, {cause: new Error(why)})
  const bytesAt = async (offset: number, size: number): Promise<Buffer> => {
    const buffer = Buffer.alloc(size)
    let filled = 0
    while (filled < size) {
      const {bytesRead} = await readSome(fd, buffer, filled, size - filled, offset + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  }
  const files = new Map<string, TarFile>()
  let extension: Extension = {}
  let entries = 0
  for (let offset = 0; ; ) {
    const header = await bytesAt(offset, BLOCK)
    if (header.length === 0 || header.every((byte) => byte === 0)) break
    if (header.length < BLOCK) throw invalid('it ends in the middle of a header')
    if (!hasChecksum(header)) throw invalid(`the header at ${offset} has a wrong checksum`)
    if (++entries > MAX_ENTRIES) throw invalid(`it has more than ${MAX_ENTRIES} entries`)
    const type = String.fromCharCode(header[156] ?? 0)
    const own = numberAt(header, 124, 12)
    const isExtension = type === 'x' || type === 'g' || type === 'L' || type === 'K'
    const size = isExtension ? own : (extension.size ?? own)
    if (!Number.isSafeInteger(size) || size < 0) throw invalid(`the entry at ${offset} has no size`)
    const content = offset + BLOCK
    offset = content + Math.ceil(size / BLOCK) * BLOCK
    if (isExtension) {
      if (size > MAX_EXTENSION) throw invalid('an extended header is too large')
      const bytes = await bytesAt(content, size)
      if (type === 'x') extension = {...extension, ...paxRecords(bytes)}
      else if (type === 'L') extension = {...extension, path: textOf(bytes)}
      else if (type === 'K') extension = {...extension, link: textOf(bytes)}
      continue
    }
    const name = cleanPath(extension.path ?? nameOf(header))
    const isLink = type === '1' || type === '2'
    if (name !== null && (isLink || type === '0' || type === '\0' || type === '7')) {
      const link = isLink ? (extension.link ?? textOf(header.subarray(157, 257))) : null
      files.set(name, {link: link !== null && type === '1' ? `/${link}` : link, offset: content, size: isLink ? 0 : size})
    }
    extension = {}
  }
  return files
}

interface Extension {
  readonly path?: string
  readonly link?: string
  readonly size?: number
}

/** A path below the archive's root, without `.`, `..` and empty parts; null for one that is outside. A leading slash is the root. */
export function cleanPath(path: string): string | null {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return null
  }
  return parts.length === 0 || path.includes('\0') ? null : parts.join('/')
}

const textOf = (bytes: Buffer): string => {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

function nameOf(header: Buffer): string {
  const name = textOf(header.subarray(0, 100))
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? textOf(header.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

/** Octal digits, or the binary form that GNU tar writes of large numbers. */
function numberAt(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length)
  if (((field[0] ?? 0) & 0x80) !== 0) {
    const value = BigInt(`0x${field.toString('hex')}`) & ((1n << BigInt(length * 8 - 1)) - 1n)
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.NaN : Number(value)
  }
  const digits = textOf(field).trim()
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
}

function hasChecksum(header: Buffer): boolean {
  let sum = 8 * 0x20
  for (const [at, byte] of header.entries()) if (at < 148 || at >= 156) sum += byte
  return numberAt(header, 148, 8) === sum
}

/** `LENGTH KEYWORD=VALUE\n`, over and over. */
function paxRecords(bytes: Buffer): Extension {
  let extension: Extension = {}
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const length = Number(bytes.toString('latin1', at, space))
    if (space < 0 || !Number.isSafeInteger(length) || length < space - at + 3) break
    const [, keyword, value] = /^([^=]*)=(.*)\n$/s.exec(bytes.toString('utf8', space + 1, at + length)) ?? []
    if (keyword === 'path' && value !== undefined) extension = {...extension, path: value}
    if (keyword === 'linkpath' && value !== undefined) extension = {...extension, link: value}
    if (keyword === 'size' && value !== undefined) extension = {...extension, size: /^\d+$/.test(value) ? Number(value) : Number.NaN}
    at += length
  }
  return extension
}

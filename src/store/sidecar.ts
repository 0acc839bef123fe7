import {statSync} from 'node:fs'
import {RktError} from '../errors.ts'
import {errnoOf, readText} from './files.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {decodeName, decodeNames, encodeName, type StoredNames} from './names.ts'
import {decodeOciRecord, type OciRecord} from './oci-image.ts'

/** By the names of files: inode, size and time of the last change. */
export type Stamps = Readonly<Record<string, string>>

/** What is known of one stored image; the file's modification time is the image's last use. */
export interface Sidecar {
  readonly id: ImageKey
  /** Present for an image of OCI's or Docker's format. */
  readonly oci?: OciRecord
  /** Hex SHA-512 of the blob (of an OCI image: its manifest): 128 digits, or the 64 of the key for an image that was adopted. */
  readonly sha512: string
  /** What it is called and where it came from, the newest first. */
  readonly names: StoredNames
  /** Bytes of the uncompressed tar, or of an OCI image's documents and layers as they came. */
  readonly size: number
  /** Of its files, as they were when their bytes were hashed. */
  readonly stamps?: Stamps
}

export function encodeSidecar(sidecar: Sidecar): string {
  return `${JSON.stringify({...sidecar, names: sidecar.names.map(encodeName)})}\n`
}

/** The sidecar of an image, null when the store does not have it. */
export function readSidecar(layout: Layout, key: ImageKey): Sidecar | null {
  const path = layout.sidecarOf(key)
  const text = readText(path)
  return text === null ? null : decodeSidecar(text, key, path)
}

/** The same; null for a damaged one too, which must not keep anybody from mending or removing the image. */
export function readSidecarIfSound(layout: Layout, key: ImageKey): Sidecar | null {
  try {
    return readSidecar(layout, key)
  } catch {
    return null
  }
}

export function lastUse(layout: Layout, key: ImageKey): Date {
  return statSync(layout.sidecarOf(key)).mtime
}

/** Bytes of the image's rendered tree, 0 when unknown. */
export function readTreeSize(layout: Layout, key: ImageKey): number {
  const text = readText(layout.treesizeOf(key))
  return text !== null && /^\d{1,15}\n?$/.test(text) ? Number(text) : 0
}

// Group members write here: what is not of this shape is damage, and said so.
function decodeSidecar(text: string, key: ImageKey, path: string): Sidecar {
  try {
    const value: unknown = JSON.parse(text)
    if (!isRecord(value)) throw new Error('not an object')
    const {id, names, oci, sha512, size, stamps} = value
    if (id !== key) throw new Error('id is another image')
    if (typeof sha512 !== 'string' || !/^([\da-f]{64}){1,2}$/.test(sha512) || !key.endsWith(`-${sha512.slice(0, 64)}`)) {
      throw new Error('sha512 does not belong to the id')
    }
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new Error('size is not a number of bytes')
    if (stamps !== undefined && !isRecord(stamps)) throw new Error('stamps are not an object')
    const all = names === undefined ? onlyName(value) : decodeNames(names)
    const common = {id: key, names: all, sha512, size, ...(stamps && {stamps: stamps as Stamps})}
    if (oci === undefined) return common
    if (common.names.some((name) => name.identity === undefined)) throw new Error('a name has no identity')
    return {...common, oci: decodeOciRecord(oci)}
  } catch (cause) {
    throw new RktError('RKT_STORE_DAMAGED', `the record ${path} of image ${key} is damaged`, {
      cause,
      hint: 'Fetch the image again, or remove it with "rkt image rm".',
    })
  }
}

/** Records of before 2.0.0 have one name, among their own fields. */
function onlyName({oci, ...fields}: Record<string, unknown>): StoredNames {
  return [decodeName({...fields, ...(isRecord(oci) && {identity: oci.identity})})]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a failure says that the file is not there. */
export function isAbsent(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR'
}

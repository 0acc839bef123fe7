import {statSync} from 'node:fs'
import type {Label} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {errnoOf, readText} from './files.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {decodeOciRecord, type OciRecord} from './oci-image.ts'

/** What is known of one stored image; the file's modification time is the image's last use. */
export interface Sidecar {
  readonly id: ImageKey
  /** Present for an image of OCI's or Docker's format. */
  readonly oci?: OciRecord
  /** Hex SHA-512 of the blob (of an OCI image: its manifest): 128 digits, or the 64 of the key for an image that was adopted. */
  readonly sha512: string
  readonly name: string
  readonly labels: readonly Label[]
  readonly importTime: Date
  readonly latest: boolean
  readonly size: number
  readonly source: string
}

export function encodeSidecar(sidecar: Sidecar): string {
  return `${JSON.stringify({...sidecar, importTime: sidecar.importTime.toISOString()})}\n`
}

/** The sidecar of an image, null when the store does not have it. */
export function readSidecar(layout: Layout, key: ImageKey): Sidecar | null {
  const path = layout.sidecarOf(key)
  const text = readText(path)
  return text === null ? null : decodeSidecar(text, key, path)
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
    const {id, importTime, labels, latest, name, oci, sha512, size, source} = value
    const time = typeof importTime === 'string' ? new Date(importTime) : new Date(Number.NaN)
    if (id !== key) throw new Error('id is another image')
    if (typeof sha512 !== 'string' || !/^([\da-f]{64}){1,2}$/.test(sha512) || !key.endsWith(`-${sha512.slice(0, 64)}`)) {
      throw new Error('sha512 does not belong to the id')
    }
    if (typeof name !== 'string' || typeof latest !== 'boolean' || typeof source !== 'string') throw new Error('a field is missing')
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new Error('size is not a number of bytes')
    if (Number.isNaN(time.getTime())) throw new Error('importTime is not a time')
    if (!Array.isArray(labels) || !labels.every(isLabel)) throw new Error('labels are not labels')
    const common = {id: key, importTime: time, labels, latest, name, sha512, size, source}
    return oci === undefined ? common : {...common, oci: decodeOciRecord(oci)}
  } catch (cause) {
    throw new RktError('RKT_STORE_DAMAGED', `the record ${path} of image ${key} is damaged`, {
      cause,
      hint: 'Fetch the image again, or remove it with "rkt image rm".',
    })
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isLabel(value: unknown): value is Label {
  return isRecord(value) && typeof value.name === 'string' && typeof value.value === 'string'
}

/** Whether a failure says that the file is not there. */
export function isAbsent(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR'
}

/** What an image is called, and where it came from: one content may have come from several places, under several names. */
import type {Label} from '../appc/index.ts'
import type {ImageIdentity} from '../oci/index.ts'
import {decodeIdentity} from './oci-identity.ts'

/** One place that an image came from, with the name that it has there. */
export interface StoredName {
  readonly name: string
  readonly labels: readonly Label[]
  readonly latest: boolean
  readonly importTime: Date
  /** The distribution point, as a `cimd:` URI; empty where nobody knows it any more. */
  readonly source: string
  /** Of an image of OCI's or Docker's format: what its appc view says of where it came from. */
  readonly identity?: ImageIdentity
}

/** The newest first. */
export type StoredNames = readonly [StoredName, ...StoredName[]]

/** Of one image; beyond it the oldest sources of names that newer ones have too are forgotten. */
const MAX_SOURCES = 64

/** The names with another one, or the same anew, in front. */
export function withName(names: readonly StoredName[], added: StoredName): StoredNames {
  const others = names.filter((name) => name.source !== added.source || !isSameName(name, added))
  const all: [StoredName, ...StoredName[]] = [added, ...others]
  while (all.length > MAX_SOURCES) {
    const spare = all.findLastIndex((name, at) => all.slice(0, at).some((newer) => isSameName(newer, name) && newer.latest === name.latest))
    if (spare < 0) break
    all.splice(spare, 1)
  }
  return all
}

/** The name that an image has by a source, else its newest. */
export function nameOfSource(names: StoredNames, source: string | undefined): StoredName {
  return names.find((name) => name.source === source) ?? names[0]
}

/** The same name with the same labels. */
export function isSameName(a: Pick<StoredName, 'labels' | 'name'>, b: Pick<StoredName, 'labels' | 'name'>): boolean {
  return a.name === b.name && textOf(a.labels) === textOf(b.labels)
}

const textOf = (labels: readonly Label[]): string => JSON.stringify(labels.map(({name, value}) => [name, value]).sort())

export function encodeName({importTime, ...rest}: StoredName): Record<string, unknown> {
  return {...rest, importTime: importTime.toISOString()}
}

/** Reads what a record says; group members write there, so it is looked at like anything from outside. */
export function decodeName(value: unknown): StoredName {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('a name is not an object')
  const {identity, importTime, labels, latest, name, source} = value as Record<string, unknown>
  const time = typeof importTime === 'string' ? new Date(importTime) : new Date(Number.NaN)
  if (typeof name !== 'string' || typeof latest !== 'boolean' || typeof source !== 'string') throw new Error('a field is missing')
  if (Number.isNaN(time.getTime())) throw new Error('importTime is not a time')
  if (!Array.isArray(labels) || !labels.every(isLabel)) throw new Error('labels are not labels')
  const common = {importTime: time, labels, latest, name, source}
  return identity === undefined ? common : {...common, identity: decodeIdentity(identity)}
}

export function decodeNames(value: unknown): StoredNames {
  if (!Array.isArray(value)) throw new Error('names are not a list')
  const [first, ...rest] = value.map(decodeName)
  if (first === undefined) throw new Error('there is no name')
  return [first, ...rest]
}

function isLabel(value: unknown): value is Label {
  if (typeof value !== 'object' || value === null) return false
  const {name, value: text} = value as Record<string, unknown>
  return typeof name === 'string' && typeof text === 'string'
}

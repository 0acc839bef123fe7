/** Manifests between bytes and values. */
import {RktError} from '../errors.ts'
import {completeImage, completePod} from './check.ts'
import {foldMembers, isObject, kindOf} from './fold.ts'
import {JsonSyntaxError, readJson} from './json.ts'
import {Problem} from './problem.ts'
import {resolve, type Schema} from './schemas.ts'
import {conform, emitted, tidy} from './shape.ts'
import type {ImageManifest, JsonValue, PodManifest} from './types.ts'
import {type Validated, validate} from './validate.ts'

export type ManifestKind = 'ImageManifest' | 'PodManifest'

export interface EncodeOptions {
  /** What a level is indented with; compact without it. */
  readonly indent?: string
}

interface Format<T> {
  readonly kind: ManifestKind
  readonly what: string
  readonly definition: Validated
  readonly complete: (draft: T) => T
}

const IMAGE: Format<ImageManifest> = {complete: completeImage, definition: 'imageManifest', kind: 'ImageManifest', what: 'image manifest'}
const POD: Format<PodManifest> = {complete: completePod, definition: 'podManifest', kind: 'PodManifest', what: 'pod manifest'}

/** The manifest in a document; `origin` says in errors where the document is from. */
export function parseImageManifest(json: string | Uint8Array, origin: string): ImageManifest {
  return parse(json, origin, IMAGE)
}

/** The manifest in a document; `origin` says in errors where the document is from. */
export function parsePodManifest(json: string | Uint8Array, origin: string): PodManifest {
  return parse(json, origin, POD)
}

/** The canonical text of a manifest; one that is not valid cannot be written. */
export function encodeImageManifest(manifest: ImageManifest, options: EncodeOptions = {}): string {
  return encode(manifest, `image ${manifest.name}`, IMAGE, options)
}

/** The canonical text of a manifest; one that is not valid, or has an app without image ID, cannot be written. */
export function encodePodManifest(manifest: PodManifest, options: EncodeOptions = {}): string {
  const index = manifest.apps.findIndex(({image}) => image.id === undefined)
  if (index >= 0) throw invalid('pod', POD, new Problem(['apps', index, 'image', 'id'], 'must be set'))
  return encode(manifest, 'pod', POD, options)
}

/** Which manifest a document is, and nothing more. */
export function probeManifest(json: string | Uint8Array, origin: string): ManifestKind {
  const kind = kindIn(document(json, origin))
  if (kind === 'ImageManifest' || kind === 'PodManifest') return kind
  throw badKind(origin, 'manifest', kind)
}

/** The value of a document that says that it is of a kind, its fields not yet looked at. */
export function documentOfKind(json: string | Uint8Array, origin: string, expected: ManifestKind): JsonValue {
  const value = document(json, origin)
  const kind = kindIn(value)
  if (kind !== expected) throw badKind(origin, `${expected}`, kind)
  return value
}

function parse<T>(json: string | Uint8Array, origin: string, format: Format<T>): T {
  return settle(documentOfKind(json, origin, format.kind), origin, format)
}

function encode<T>(manifest: T, origin: string, format: Format<T>, {indent}: EncodeOptions): string {
  const text = JSON.stringify(emitted(settle(manifest, origin, format), schemaOf(format)), null, indent)
  return text.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function settle<T>(value: unknown, origin: string, format: Format<T>): T {
  const schema = schemaOf(format)
  const draft = conform(value, schema)
  try {
    validate(draft, format.definition)
    return tidy(format.complete(draft as T), schema) as T
  } catch (thrown) {
    if (thrown instanceof Problem) throw invalid(origin, format, thrown)
    throw thrown
  }
}

function schemaOf({definition}: Pick<Format<unknown>, 'definition'>): Schema {
  return resolve({$ref: `#/$defs/${definition}`})
}

function document(json: string | Uint8Array, origin: string): JsonValue {
  try {
    return readJson(json)
  } catch (thrown) {
    if (!(thrown instanceof JsonSyntaxError)) throw thrown
    throw new RktError('RKT_MANIFEST_SYNTAX', `the manifest of ${origin} is not JSON: ${thrown.message}`)
  }
}

function kindIn(value: JsonValue): unknown {
  return isObject(value) ? foldMembers(value, ['acKind']).acKind : value
}

function badKind(origin: string, expected: string, kind: unknown): RktError {
  const found = kind === undefined ? 'it says none' : `it says ${kindOf(kind)}`
  return new RktError('RKT_MANIFEST_KIND', `missing or bad acKind in the manifest of ${origin}: expected ${expected}, ${found}`)
}

function invalid(origin: string, {what}: Pick<Format<unknown>, 'what'>, problem: Problem): RktError {
  return new RktError('RKT_MANIFEST_INVALID', `invalid ${what} of ${origin}: ${problem.message}`)
}

import {existsSync, lstatSync, statSync} from 'node:fs'
import {extname, isAbsolute, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {type AcIdentifier, checkOsArch, hostLabels, type Label, labelValue, parseImageString} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {looksLikeImageId} from '../store/index.ts'
import {parseDistributionPoint} from './distribution.ts'

/** What a word of the command line asks for. `text` is how messages call it. */
export type ImageReference =
  | {readonly kind: 'hash'; readonly text: string}
  | {readonly kind: 'file'; readonly path: string; readonly text: string}
  | {readonly kind: 'url'; readonly url: URL; readonly text: string}
  | NameReference
  | {readonly kind: 'docker'; readonly text: string}
  | LocalReference

/** An image in an OCI layout (a directory or an archive of one), or in what `docker save` wrote. */
export interface LocalReference {
  readonly kind: 'docker-archive' | 'oci-image-layout'
  readonly path: string
  /** Which of several images, by a name or digest; null for the only one. */
  readonly ref: string | null
  readonly text: string
}

export interface NameReference {
  readonly kind: 'name'
  readonly name: AcIdentifier
  /** What the image must carry; os and arch are among them. */
  readonly labels: readonly Label[]
  readonly text: string
}

const SCHEME = /^([a-z][a-z\d+.-]*):/i
/** Schemes that are no part of an image's name, which `my-app:v1` reads like. */
const LOCAL_SCHEMES: ReadonlyMap<string, LocalReference['kind']> = new Map([
  ['docker-archive', 'docker-archive'],
  ['oci', 'oci-image-layout'],
  ['oci-archive', 'oci-image-layout'],
])

/** Reads an image reference; nothing is looked up but whether a file of that name exists. */
export function parseImageReference(text: string): ImageReference {
  if (looksLikeImageId(text)) return {kind: 'hash', text}
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return guess(text)
  if (scheme === 'file' || scheme === 'http' || scheme === 'https') return archive(text, {mustBeAci: true})
  if (scheme === 'docker') return {kind: 'docker', text: `docker://${text.replace(/^docker:(\/\/)?/i, '')}`}
  const local = LOCAL_SCHEMES.get(scheme)
  if (local !== undefined) return localReference(local, text)
  return scheme === 'cimd' ? fromDistributionPoint(text) : imageName(text)
}

function guess(text: string): ImageReference {
  if (isAbsolute(text) || isRegularFile(text)) return file(text)
  if (text.includes(':')) return imageName(text)
  return text.includes('./') || extname(text) === '.aci' ? file(text) : imageName(text)
}

function file(text: string): ImageReference {
  const path = resolve(text)
  if (extname(path) !== '.aci') throw invalid(`file://${path}`)
  return {kind: 'file', path, text: `file://${path}`}
}

function archive(text: string, {mustBeAci}: {mustBeAci: boolean}): ImageReference {
  let url: URL
  try {
    url = new URL(text)
    decodeURIComponent(url.pathname)
  } catch (cause) {
    throw new RktError('RKT_BAD_IMAGE_REFERENCE', `failed to parse image url ${JSON.stringify(text)}`, {cause})
  }
  if (mustBeAci && extname(url.pathname) !== '.aci') throw invalid(text)
  if (url.protocol !== 'file:') return {kind: 'url', text, url}
  return {kind: 'file', path: pathOf(url, text), text}
}

function pathOf(url: URL, text: string): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw new RktError('RKT_BAD_IMAGE_REFERENCE', `failed to parse image url ${JSON.stringify(text)}`, {cause})
  }
}

function fromDistributionPoint(uri: string): ImageReference {
  const point = parseDistributionPoint(uri)
  switch (point.type) {
    case 'appc':
      return nameReference(point.name, point.labels, uri)
    case 'docker':
      return {kind: 'docker', text: `docker://${point.reference}`}
    case 'docker-archive':
    case 'oci-image-layout': {
      const url = URL.parse(point.url)
      if (url?.protocol !== 'file:') {
        throw new RktError('RKT_BAD_IMAGE_REFERENCE', `expected image URL ${JSON.stringify(point.url)} to begin with file://`)
      }
      return {kind: point.type, path: pathOf(url, uri), ref: point.ref, text: uri}
    }
    case 'aci-archive': {
      const scheme = SCHEME.exec(point.url)?.[1]?.toLowerCase()
      if (scheme === undefined) {
        throw new RktError('RKT_BAD_IMAGE_REFERENCE', `expected image URL ${JSON.stringify(point.url)} to contain a scheme`)
      }
      if (!['file', 'http', 'https'].includes(scheme)) {
        const supported = 'the only URL schemes supported by rkt for an archive are http, https and file'
        throw new RktError('RKT_BAD_IMAGE_REFERENCE', `an unsupported URL scheme ${JSON.stringify(scheme)} - ${supported}`)
      }
      return archive(point.url, {mustBeAci: false})
    }
  }
}

/**
 * `SCHEME:PATH[:REF]`. Names of files and of images may hold colons, so the longest path that exists counts; the part before the first
 * colon if none does.
 */
function localReference(kind: LocalReference['kind'], text: string): LocalReference {
  const rest = text.slice(text.indexOf(':') + 1).replace(/^\/\/(?=\/)/, '')
  const colons = [...rest.matchAll(/:/g)].map(({index}) => index)
  const ends = [rest.length, ...colons.toReversed()]
  const end = ends.find((at) => at > 0 && existsSync(rest.slice(0, at))) ?? colons[0] ?? rest.length
  const [path, ref] = [rest.slice(0, end), rest.slice(end + 1)]
  if (path === '' || rest.includes('\0')) {
    throw new RktError('RKT_BAD_IMAGE_REFERENCE', `invalid image string ${JSON.stringify(text)}`, {
      hint: `Give it as ${text.slice(0, text.indexOf(':'))}:PATH or ${text.slice(0, text.indexOf(':'))}:PATH:REF.`,
    })
  }
  return {kind, path: resolve(path), ref: ref === '' ? null : ref, text}
}

function imageName(text: string): ImageReference {
  const {labels, name} = parseName(text)
  return nameReference(name, labels, text)
}

function parseName(text: string): ReturnType<typeof parseImageString> {
  try {
    return parseImageString(text)
  } catch (cause) {
    throw new RktError('RKT_BAD_IMAGE_NAME', `invalid appc image string ${JSON.stringify(text)}`, {
      cause,
      hint: 'Give a name like "example.com/app:1.0", or a path or URL that ends in ".aci".',
    })
  }
}

/** A name asks for an image of this host unless its labels say otherwise; images of platforms that we do not run cannot be asked for. */
export function nameReference(name: AcIdentifier, labels: readonly Label[], text: string): NameReference {
  const missing = hostLabels().filter((label) => labelValue(labels, label.name) === undefined)
  const all = [...labels, ...missing]
  try {
    checkOsArch(all)
  } catch (cause) {
    throw new RktError('RKT_BAD_IMAGE_NAME', `invalid Appc distribution ${JSON.stringify(text)}`, {cause})
  }
  return {kind: 'name', labels: all, name, text}
}

function isRegularFile(text: string): boolean {
  return (lstatSync(text, {throwIfNoEntry: false}) && statSync(text, {throwIfNoEntry: false})?.isFile()) ?? false
}

function invalid(text: string): RktError {
  return new RktError('RKT_BAD_IMAGE_REFERENCE', `invalid image string ${JSON.stringify(text)}`, {
    hint: 'An image archive is a path or URL that ends in ".aci".',
  })
}

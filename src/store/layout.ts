import {createHash} from 'node:crypto'
import {join} from 'node:path'
import type {ImageKey} from './image-key.ts'

/** Where everything of an image store lies. */
export interface Layout {
  readonly cas: string
  readonly db: string
  readonly generation: string
  readonly image: string
  readonly imagelocks: string
  readonly index: string
  readonly name: string
  readonly remote: string
  readonly tmp: string
  readonly treesize: string
  /** What root alone writes. */
  readonly verified: string
  /** `blob/sha512` and `imageManifest/sha512`: one directory for each pair of first digits. */
  readonly blobs: string
  readonly manifests: string
  blobOf(key: ImageKey): string
  lockOf(key: ImageKey): string
  manifestOf(key: ImageKey): string
  nameDirOf(name: string): string
  nameOf(name: string, key: ImageKey): string
  remoteName(url: string): string
  remoteOf(url: string): string
  sidecarOf(key: ImageKey): string
  treesizeOf(key: ImageKey): string
}

export function layoutOf(cas: string): Layout {
  const [blobs, manifests] = [join(cas, 'blob/sha512'), join(cas, 'imageManifest/sha512')]
  const [image, imagelocks, name, remote, treesize, db] = ['image', 'imagelocks', 'name', 'remote', 'treesize', 'db'].map((part) =>
    join(cas, part),
  ) as [string, string, string, string, string, string]
  return {
    blobOf: (key) => join(blobs, digits(key), key),
    blobs,
    cas,
    db,
    generation: join(cas, 'generation'),
    image,
    imagelocks,
    index: join(db, 'index.sqlite'),
    lockOf: (key) => join(imagelocks, key),
    manifestOf: (key) => join(manifests, digits(key), key),
    manifests,
    name,
    nameDirOf: (imageName) => join(name, escapeName(imageName)),
    nameOf: (imageName, key) => join(name, escapeName(imageName), key),
    remote,
    remoteName,
    remoteOf: (url) => join(remote, remoteName(url)),
    sidecarOf: (key) => join(image, `${key}.json`),
    tmp: join(cas, 'tmp'),
    treesize,
    treesizeOf: (key) => join(treesize, key),
    verified: join(cas, 'verified'),
  }
}

function remoteName(url: string): string {
  return `${createHash('sha256').update(url).digest('hex')}.json`
}

function digits(key: ImageKey): string {
  return key.slice('sha512-'.length, 'sha512-'.length + 2)
}

/**
 * An image name as one file name. `%` occurs in no image name, so two names never meet; a name that a file name cannot hold
 * ends in its hash.
 */
export function escapeName(name: string): string {
  const escaped = name.replace(/[^a-z0-9._~-]/g, encodeURIComponent)
  if (escaped.length <= 200 && !escaped.startsWith('.')) return escaped
  return `%${createHash('sha256').update(name).digest('hex')}`
}

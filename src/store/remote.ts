import {join} from 'node:path'
import {isSystemRoot} from '../privileges.ts'
import {namesIn, readText, removeFile, replaceFile} from './files.ts'
import {type ImageKey, isImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'

/** What the last download of a URL left: which image it gave, and until when it may be taken for fresh. */
export interface Remote {
  readonly url: string
  readonly signatureUrl: string
  /** Empty when the server sent none. */
  readonly etag: string
  /** Seconds; 0 means that the server is asked each time. */
  readonly maxAge: number
  readonly downloadTime: Date
  readonly key: ImageKey
}

/** The record of a URL, null when there is none or its file is damaged: it is a cache, and the next download writes it anew. */
export function readRemote(layout: Layout, url: string): Remote | null {
  const remote = decodeRemote(readText(layout.remoteOf(url)))
  return remote?.url === url ? remote : null
}

export function writeRemote(layout: Layout, remote: Remote): void {
  replaceFile(layout.remoteOf(remote.url), `${encodeRemote(remote)}\n`, layout.tmp)
}

export function encodeRemote({downloadTime, ...rest}: Remote): string {
  return JSON.stringify({...rest, downloadTime: downloadTime.toISOString()})
}

export function allRemotes(layout: Layout): Remote[] {
  return namesIn(layout.remote)
    .map((name) => decodeRemote(readText(join(layout.remote, name))))
    .filter((remote) => remote !== null)
}

/** Forgets every URL that gave this image, or `which` of them. */
export function removeRemotesOf(layout: Layout, key: ImageKey, which: (url: string) => boolean = () => true): void {
  for (const remote of allRemotes(layout)) {
    if (remote.key !== key || !which(remote.url)) continue
    removeFile(layout.remoteOf(remote.url))
    // root's own record of it, in a directory that others do not see
    if (isSystemRoot()) removeFile(join(layout.verified, layout.remoteName(remote.url)))
  }
}

export function decodeRemote(text: string | null): Remote | null {
  if (text === null) return null
  try {
    const {downloadTime, etag, key, maxAge, signatureUrl, url}: Record<string, unknown> = JSON.parse(text)
    const time = typeof downloadTime === 'string' ? new Date(downloadTime) : new Date(Number.NaN)
    if (typeof url !== 'string' || typeof signatureUrl !== 'string' || typeof etag !== 'string') return null
    if (typeof key !== 'string' || !isImageKey(key) || Number.isNaN(time.getTime())) return null
    if (typeof maxAge !== 'number' || !Number.isSafeInteger(maxAge) || maxAge < 0) return null
    return {downloadTime: time, etag, key, maxAge, signatureUrl, url}
  } catch {
    return null
  }
}

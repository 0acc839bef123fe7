import {closeSync, openSync, readSync} from 'node:fs'
import {RktError} from '../errors.ts'
import type {HttpClient, HttpDocument} from '../http/index.ts'
import {systemError} from '../native/index.ts'
import {maxKeyFile} from './key-files.ts'
import {visible} from './text.ts'

/** Where a key is taken from. */
export type KeyLocation = {readonly kind: 'file'; readonly path: string} | {readonly kind: 'url'; readonly url: URL}

export interface KeyDownload {
  readonly http: Pick<HttpClient, 'read'>
  /** `http` URLs, and redirects to them, are welcome. */
  readonly allowHttp: boolean
}

const downloadTimeoutMs = 120_000

/** A path, or an https or http URL. */
export function parseKeyLocation(text: string): KeyLocation {
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return {kind: 'file', path: text}
  const url = scheme === 'http' || scheme === 'https' ? URL.parse(text) : null
  if (url === null) throw new RktError('RKT_KEY_LOCATION', 'only local files and http or https URLs supported')
  return {kind: 'url', url}
}

/** A key file, and how it came. */
export interface ReadKeyFile {
  readonly bytes: Buffer
  /** Of the URL that answered in the end. */
  readonly via: 'file' | 'http' | 'https'
}

/** Reads a key file: no more than such a file may have, and nothing over plain http that was not allowed. */
export async function readKeyLocation(location: KeyLocation, download: KeyDownload): Promise<ReadKeyFile> {
  return location.kind === 'file' ? {bytes: readLocal(location.path), via: 'file'} : await readRemote(location.url, download)
}

function readLocal(path: string): Buffer {
  const buffer = Buffer.alloc(maxKeyFile + 1)
  let length = 0
  try {
    const fd = openSync(path, 'r')
    try {
      // Read to its end, not by its size: `<(gpg --export …)` of a shell has none.
      for (let read = -1; read !== 0 && length < buffer.length; length += read)
        read = readSync(fd, buffer, length, buffer.length - length, null)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw systemError('open', path, error)
  }
  if (length > maxKeyFile) throw new RktError('RKT_KEY_LOCATION', `"${visible(path)}" is larger than ${maxKeyFile} bytes`)
  return buffer.subarray(0, length)
}

async function readRemote(url: URL, {allowHttp, http}: KeyDownload): Promise<ReadKeyFile> {
  if (url.protocol === 'http:' && !allowHttp) {
    throw new RktError('RKT_KEY_LOCATION', '--insecure-allow-http required for http URLs')
  }
  let answer: HttpDocument
  try {
    answer = await http.read(url, {allowDowngrade: allowHttp, limit: maxKeyFile, signal: AbortSignal.timeout(downloadTimeoutMs)})
  } catch (cause) {
    throw new RktError('RKT_KEY_LOCATION', 'error getting key', {cause})
  }
  if (answer.status !== 200) throw new RktError('RKT_KEY_LOCATION', `bad HTTP status code: ${answer.status}`)
  return {bytes: answer.bytes, via: answer.url.protocol === 'https:' ? 'https' : 'http'}
}

import {ftruncateSync, statfsSync} from 'node:fs'
import {pipeline} from 'node:stream/promises'
import type {ImageManifest} from '../../appc/index.ts'
import {RktError} from '../../errors.ts'
import {openTransfer, redactUrl, statusError, type Transfer} from '../../http/index.ts'
import type {ImageKey, NamedImage, Remote} from '../../store/index.ts'
import {maxAgeOf} from '../cache-control.ts'
import {descriptorSink} from '../descriptor-streams.ts'
import {type DistributionPoint, formatDistributionPoint} from '../distribution.ts'
import {DownloadSlot} from '../download-slot.ts'
import {importArchive} from '../import-archive.ts'
import {progressOf} from '../progress.ts'
import type {Session} from '../session.ts'
import {soundRemote, useStored} from '../stored-remote.ts'
import {fetchDeferredSignature, fetchSignature} from './signature.ts'

export interface RemoteArchive {
  /** The URL as its record is called. */
  readonly text: string
  readonly url: URL
  readonly signatureUrl: URL
  readonly latest: boolean
  readonly source: DistributionPoint
  /** Looks at the signature before the archive is downloaded. */
  readonly judge?: (signature: Uint8Array) => Promise<void>
  /** What the image has to be. */
  readonly check?: (manifest: ImageManifest) => void
}

/** Fetches an image archive, unless the last download is fresh or the server says that it has not changed. */
export async function fetchArchive(session: Session, archive: RemoteArchive): Promise<NamedImage> {
  const {store} = session.ports
  const {signatureUrl, text} = archive
  const shown = redactUrl(text)
  const startedAt = Date.now()
  const known = await soundRemote(session, text, shown)
  if (known !== null && isFresh(known)) {
    session.say(`image for ${shown} isn't expired, not fetching.`)
    return await reuse(session, archive, known.key)
  }
  session.say(`fetching image from ${shown}`)
  if (session.verifies && session.options.insecure.tls) session.note('warning: TLS verification has been disabled')
  let signature = session.verifies ? await fetchSignature(session, signatureUrl) : undefined
  if (signature === null) session.note('server requested deferring the signature download')
  else if (signature !== undefined) await archive.judge?.(signature)

  using slot = await DownloadSlot.claim(store.tmpDir(), text, {
    waiting: () => session.note('another rkt instance is downloading this file, waiting...'),
  })
  const theirs = slot.waited ? store.remote(text, {unvouched: !session.verifies}) : null
  if (theirs !== null && theirs.downloadTime.getTime() >= startedAt) {
    return await reuse(session, archive, theirs.key)
  }
  const transfer = await download(session, slot, archive, known)
  if (transfer === 'not modified') {
    if (known === null) throw new RktError('RKT_FETCH_FAILED', 'asked to use cached image even if not asked for that')
    return await reuse(session, archive, known.key)
  }
  signature ??= signature === null ? await fetchDeferredSignature(session, signatureUrl) : undefined
  const {check, latest, source} = archive
  const image = await importArchive(session, {fd: slot.fd, latest, shown, signature, source, ...(check && {check})})
  const {'cache-control': cacheControl, etag = ''} = transfer.headers
  await store.putRemote({
    downloadTime: new Date(),
    etag,
    key: image.key,
    maxAge: maxAgeOf(cacheControl),
    signatureUrl: session.options.signature ?? redactUrl(signatureUrl),
    url: text,
  })
  return image
}

/** A template that ignores labels gives one URL for all versions: the stored image of the URL may not be the one that is wanted. */
async function reuse(session: Session, {check, latest, source}: RemoteArchive, key: ImageKey): Promise<NamedImage> {
  const {store} = session.ports
  check?.(store.manifest(key))
  const point = formatDistributionPoint(source)
  await store.addSource(key, {latest, source: point})
  return await useStored(session, {key, source: point})
}

function isFresh({downloadTime, maxAge}: Remote): boolean {
  const age = Math.floor((Date.now() - downloadTime.getTime()) / 1000)
  return age >= 0 && age < maxAge
}

/** Fills the slot with the archive; what an earlier process left of the same version is not transferred again. */
async function download(
  session: Session,
  slot: DownloadSlot,
  archive: RemoteArchive,
  known: Remote | null,
): Promise<Transfer | 'not modified'> {
  const partial = slot.partial()
  let transfer = await open(session, archive, known, partial)
  // a server that ignores the condition, or cannot give the range, sends all of it to who asks for all of it
  const continues = transfer.start > 0 && partial !== null && versionOf(transfer) === partial.validator
  if (partial !== null && !continues && (transfer.start > 0 || transfer.status === 416)) {
    transfer.response.discard()
    session.say('cannot use cached partial download, resource updated.')
    transfer = await open(session, archive, known, null)
  }
  const {response, status} = transfer
  if (status === 304) {
    response.discard()
    return 'not modified'
  }
  if (status !== 200 && status !== 206) {
    response.discard()
    const cause = statusError(response, status === 202 ? {said: 'HTTP 202'} : {})
    throw new RktError('RKT_FETCH_FAILED', 'error downloading ACI', {cause, hint: cause.hint})
  }
  try {
    if (transfer.start === 0) {
      ftruncateSync(slot.fd)
      slot.remember(versionOf(transfer))
    }
    await fill(session, slot, transfer)
  } catch (cause) {
    transfer.body.destroy()
    response.discard()
    throw new RktError('RKT_FETCH_FAILED', `failed to download ${JSON.stringify(redactUrl(archive.text))}`, {
      cause,
      hint: cause instanceof RktError ? cause.hint : undefined,
    })
  }
  return transfer
}

type Partial = ReturnType<DownloadSlot['partial']>

async function open(session: Session, {text, url}: RemoteArchive, known: Remote | null, partial: Partial): Promise<Transfer> {
  const {authorize, http, options} = session
  const ifNoneMatch: Record<string, string> = known?.etag ? {'If-None-Match': known.etag} : {}
  try {
    return await openTransfer({
      debug: (message) => session.say(message),
      offset: partial?.size,
      open: (headers) => http.request(url, {allowDowngrade: options.insecure.http, authorize, headers: {...ifNoneMatch, ...headers}}),
      retry: http.retry,
      validator: partial?.validator,
    })
  } catch (cause) {
    if (!(cause instanceof RktError)) throw cause
    throw new RktError('RKT_FETCH_FAILED', `failed to download ${JSON.stringify(redactUrl(text))}`, {cause, hint: cause.hint})
  }
}

/** What `If-Range` compares: a strong ETag, else the date of the last change. */
function versionOf({headers}: Transfer): string | undefined {
  const {etag} = headers
  return etag !== undefined && !etag.startsWith('W/') ? etag : headers['last-modified']
}

async function fill({options: {progress}}: Session, slot: DownloadSlot, {body, start, total}: Transfer): Promise<void> {
  const left = total === null ? null : total - start
  const room = new Room(slot.path)
  if (left !== null) room.take(left)
  const sink = descriptorSink(slot.fd, start)
  const counted = async function* (source: AsyncIterable<Buffer>) {
    for await (const chunk of source) {
      if (left === null) room.take(chunk.length)
      yield chunk
    }
  }
  if (progress === undefined) await pipeline(body, counted, sink)
  else await pipeline(body, counted, progressOf('ACI', left, progress), sink)
}

/** What a download may take of the file system: not the last of it, however much a server sends. */
class Room {
  #left: number
  readonly #path: string

  constructor(path: string) {
    const {bavail, blocks, bsize} = statfsSync(path)
    this.#left = bavail * bsize - Math.min(2 ** 30, (blocks * bsize) / 20)
    this.#path = path
  }

  take(bytes: number): void {
    this.#left -= bytes
    if (this.#left < 0) {
      throw new RktError('RKT_FETCH_TOO_LARGE', `there is no room for the download in ${this.#path}`, {
        cause: new Error('no space left on device'),
        hint: 'Remove images with "rkt image gc" or "rkt image rm", or use another data directory.',
      })
    }
  }
}

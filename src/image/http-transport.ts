import {closeSync, openSync} from 'node:fs'
import type {IncomingMessage} from 'node:http'
import {pipeline} from 'node:stream/promises'
import {RktError} from '../errors.ts'
import {native, unwrap} from '../native/index.ts'
import type {ImageKey, Remote} from '../store/index.ts'
import {maxAgeOf} from './cache-control.ts'
import {authorizationFrom} from './credentials.ts'
import {importFrom} from './dependencies.ts'
import {descriptorSink} from './descriptor-streams.ts'
import {httpGet, redactUrl} from './http-get.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'
import {progressOf} from './progress.ts'
import {say} from './say.ts'
import {refuseUnverifiable} from './signature.ts'

interface Source {
  readonly text: string
  readonly url: URL
}

/** Fetches an image archive, unless the last download is fresh or the server says that it has not changed. */
export async function fetchUrl(ports: ImagePorts, {text, url}: Source, options: FindImageOptions): Promise<ImageKey> {
  const {diagnostics, store} = ports
  const shown = redactUrl(text)
  say(diagnostics, `remote fetching from URL ${JSON.stringify(shown)}`)
  const known = store.remote(text)
  if (known !== null && isFresh(known)) {
    say(diagnostics, `image for ${shown} isn't expired, not fetching.`)
    store.touch(known.key)
    return known.key
  }
  say(diagnostics, `fetching image from ${shown}`)
  if (!options.insecure.image) await checkSignature(ports, url, options)

  const response = await get(ports, url, options, known?.etag ? {'If-None-Match': known.etag} : {})
  if (response.statusCode === 304) {
    response.destroy()
    if (known === null) throw new RktError('RKT_FETCH_FAILED', 'asked to use cached image even if not asked for that')
    store.touch(known.key)
    return known.key
  }
  const key = await importBody(ports, response, shown, options)
  const maxAge = maxAgeOf(response.headers['cache-control'])
  await store.putRemote({
    downloadTime: new Date(),
    etag: response.headers.etag ?? '',
    key,
    maxAge,
    signatureUrl: signatureUrlOf(url).href,
    url: text,
  })
  return key
}

function isFresh({downloadTime, maxAge}: Remote): boolean {
  const age = Math.floor((Date.now() - downloadTime.getTime()) / 1000)
  return age >= 0 && age < maxAge
}

/** Writes the body into an unnamed file and imports that: nothing of a download that fails is left. */
async function importBody(ports: ImagePorts, response: IncomingMessage, shown: string, options: FindImageOptions): Promise<ImageKey> {
  const fd = unwrap(native().openTmpFile(ports.store.tmpDir()))
  try {
    await download(response, fd, shown, options)
    // a second descriptor, whose position is the beginning
    const source = openSync(`/proc/self/fd/${fd}`, 'r')
    try {
      return await importFrom(ports, source, shown, options)
    } finally {
      closeSync(source)
    }
  } finally {
    closeSync(fd)
    response.destroy()
  }
}

async function download(response: IncomingMessage, fd: number, shown: string, {progress}: FindImageOptions): Promise<void> {
  const {statusCode} = response
  if (statusCode === 202) throw new RktError('RKT_FETCH_FAILED', 'error downloading ACI', {cause: new Error('HTTP 202')})
  if (statusCode !== 200) {
    throw new RktError('RKT_FETCH_FAILED', 'error downloading ACI', {cause: new Error(`bad HTTP status code: ${statusCode}`)})
  }
  const length = response.headers['content-length']
  const total = length === undefined ? null : Number(length)
  const sink = descriptorSink(fd)
  try {
    if (progress === undefined) await pipeline(response, sink)
    else await pipeline(response, progressOf('ACI', total, progress), sink)
  } catch (cause) {
    throw new RktError('RKT_FETCH_FAILED', `failed to download ${JSON.stringify(shown)}`, {cause})
  }
  if (total !== null && sink.bytes !== total) {
    const cause = new Error(`the server announced ${total} bytes and sent ${sink.bytes}`)
    throw new RktError('RKT_FETCH_FAILED', `failed to download ${JSON.stringify(shown)}`, {cause})
  }
}

/** Where the signature of an archive lies: `.aci.asc` instead of `.aci`, the query kept. */
export function signatureUrlOf(url: URL): URL {
  const signature = new URL(url)
  signature.pathname = `${url.pathname.replace(/\.aci$/, '')}.aci.asc`
  return signature
}

async function checkSignature(ports: ImagePorts, url: URL, options: FindImageOptions): Promise<void> {
  if (options.insecure.tls) ports.diagnostics.note('image', 'warning: TLS verification has been disabled')
  if (options.signature === undefined) {
    const location = signatureUrlOf(url)
    say(ports.diagnostics, `downloading signature from ${redactUrl(location.href)}`)
    const response = await get(ports, location, options, {})
    response.destroy()
    if (response.statusCode !== 200 && response.statusCode !== 202) {
      throw new RktError('RKT_SIGNATURE_MISSING', 'error downloading the signature file', {
        cause: new Error(`bad HTTP status code: ${response.statusCode}`),
        hint: 'To take the image without a signature, use --insecure-options=image.',
      })
    }
  }
  throw refuseUnverifiable(redactUrl(url.href))
}

async function get(
  {config}: ImagePorts,
  url: URL,
  {insecure}: FindImageOptions,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  try {
    return await httpGet(url, {
      authorization: authorizationFrom(config.auth),
      headers: {'User-Agent': 'rkt/2.0.0', ...headers},
      insecureTls: insecure.tls,
    })
  } catch (cause) {
    if (cause instanceof RktError) throw cause
    throw new RktError('RKT_FETCH_FAILED', `failed to download ${JSON.stringify(redactUrl(url.href))}`, {cause})
  }
}

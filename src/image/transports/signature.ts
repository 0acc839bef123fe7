import {RktError} from '../../errors.ts'
import {redactUrl, statusError} from '../../http/index.ts'
import {progressLine} from '../progress.ts'
import type {Session} from '../session.ts'
import {readSignatureFile} from './file.ts'

const maxSignature = 1024 * 1024
const hint = 'To take the image without a signature, use --insecure-options=image.'

/** Where the signature of an archive lies: `.aci.asc` instead of `.aci`, the query kept. */
export function signatureUrlOf(url: URL): URL {
  const signature = new URL(url)
  signature.pathname = `${url.pathname.replace(/\.aci$/, '')}.aci.asc`
  return signature
}

/** The signature beside an archive, or the file that the user names instead; null when the server wants to be asked later (202). */
export async function fetchSignature(session: Session, location: URL): Promise<Uint8Array | null> {
  const {progress, signature: file} = session.options
  if (file !== undefined) return readSignatureFile(file)
  const shown = redactUrl(location)
  session.say(`downloading signature from ${shown}`)
  try {
    const {bytes, requested, status} = await session.http.read(location, {
      allowDowngrade: session.options.insecure.http,
      authorize: session.authorize,
      limit: maxSignature,
    })
    if (status === 202) return null
    if (status === 304) throw new Error(`unexpected cache reuse request for signature ${JSON.stringify(shown)}`)
    if (status !== 200) throw statusError({requested, status}, {hint})
    progress?.write(`${progressLine('signature', {done: bytes.length, total: bytes.length, isTTY: progress.isTTY ?? false})}\n`)
    return bytes
  } catch (cause) {
    throw new RktError('RKT_SIGNATURE_MISSING', 'error downloading the signature file', {
      cause,
      hint: cause instanceof RktError && cause.code !== 'RKT_HTTP_STATUS' ? cause.hint : hint,
    })
  }
}

/** The one that was deferred: now it must be there. */
export async function fetchDeferredSignature(session: Session, location: URL): Promise<Uint8Array> {
  const signature = await fetchSignature(session, location)
  if (signature !== null) return signature
  throw new RktError('RKT_SIGNATURE_MISSING', 'error downloading the signature file', {
    cause: new Error('server asked to defer the download again'),
    hint,
  })
}

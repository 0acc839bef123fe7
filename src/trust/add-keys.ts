import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import type {HttpClient} from '../http/index.ts'
import type {KeyKind} from './key-kinds.ts'
import {parseKeyLocation, type ReadKeyFile, readKeyLocation} from './key-location.ts'
import {askToTrust, type Reviewer, terminalReviewer} from './reviewer.ts'
import {visible} from './text.ts'

export interface AddKeysPorts {
  readonly diagnostics: Diagnostics
  readonly http: Pick<HttpClient, 'read'>
  readonly keys: KeyKind
  /** One line on standard output. */
  readonly print: (line: string) => void
  /** The terminal, unless said otherwise. */
  readonly reviewer?: Reviewer
}

export interface AddKeysOptions {
  /** The names that the keys will vouch for; null for every name. */
  readonly prefix: string | null
  /** Paths and URLs. */
  readonly locations: readonly string[]
  readonly allowHttp: boolean
  readonly skipFingerprintReview: boolean
  /** Keys that come over https are taken without a question. */
  readonly trustKeysFromHttps: boolean
  /** So are those that come over http (insecure option `pubkey`). */
  readonly trustKeysFromHttp?: boolean
}

/**
 * Takes keys from where they lie, shows each, has it reviewed, and stores it. A key that its reviewer does not want is passed over;
 * the first location that fails ends it.
 *
 * @throws RktError RKT_KEY_LOCATION, RKT_KEY_UNREADABLE, RKT_KEY_REVIEW, RKT_KEY_NOT_STORED, RKT_BAD_PREFIX
 */
export async function addKeys(ports: AddKeysPorts, options: AddKeysOptions): Promise<void> {
  const {diagnostics, keys, print} = ports
  const {locations, prefix} = options
  let accepted = options.skipFingerprintReview
  for (const text of locations) {
    const shown = visible(text)
    const {bytes, via} = await obtain(ports, options, text)
    const lines = await keys.show(bytes, `error displaying the key ${shown}`)
    diagnostics.note('pubkey', `prefix: "${prefix ?? ''}"\nkey: "${shown}"`)
    for (const line of lines) print(line)

    // One location over https that was taken so answers for the rest of the call.
    accepted ||= mayTrustTransport(via, options)
    if (!accepted && !(await review(ports, prefix))) {
      diagnostics.note('pubkey', `not trusting "${shown}"`)
      continue
    }
    print(`Trusting "${shown}" for prefix "${prefix ?? ''}" ${accepted ? 'without' : 'after'} fingerprint review.`)
    for (const {path} of await keys.add(prefix, bytes)) {
      print(prefix === null ? `Added root key at "${path}"` : `Added key for prefix "${prefix}" at "${path}"`)
    }
  }
}

async function obtain({http}: AddKeysPorts, {allowHttp}: AddKeysOptions, text: string): Promise<ReadKeyFile> {
  try {
    return await readKeyLocation(parseKeyLocation(text), {allowHttp, http})
  } catch (cause) {
    throw new RktError('RKT_KEY_LOCATION', `error accessing the key ${visible(text)}`, {cause})
  }
}

/** What counts is the way that the key came in the end: a redirect may have led from https to http. */
function mayTrustTransport(via: ReadKeyFile['via'], {trustKeysFromHttp = false, trustKeysFromHttps}: AddKeysOptions): boolean {
  return trustKeysFromHttps && (via === 'https' || (via === 'http' && trustKeysFromHttp))
}

async function review({diagnostics, print, reviewer = terminalReviewer()}: AddKeysPorts, prefix: string | null): Promise<boolean> {
  if (!reviewer.isThere()) {
    diagnostics.note('pubkey', `To trust the key for "${prefix ?? ''}", do one of the following:`)
    diagnostics.note('pubkey', ' - call rkt with --trust-keys-from-https')
    diagnostics.note('pubkey', ` - run: rkt trust --prefix "${prefix ?? ''}"`)
    throw new RktError('RKT_KEY_REVIEW', 'error reviewing key', {
      cause: new Error('unable to ask user to review fingerprint due to lack of tty'),
      hint: 'Review the fingerprint on a terminal; or compare it with one that reached you another way, and give --skip-fingerprint-review.',
    })
  }
  try {
    return await askToTrust(reviewer, print)
  } catch (cause) {
    throw new RktError('RKT_KEY_REVIEW', 'error reviewing key', {cause})
  }
}

import {RktError} from '../errors.ts'

/** What is *not* checked: each is true when it was switched off. */
export interface InsecureOptions {
  /** Signatures of images. */
  readonly image: boolean
  /** Certificates of TLS. */
  readonly tls: boolean
  /** That discovery speaks https. */
  readonly http: boolean
  /** That public keys are discovered over verified https. */
  readonly pubkey: boolean
  /** The set of capabilities of apps. */
  readonly capabilities: boolean
  /** The protection of entries of /proc and /sys. */
  readonly paths: boolean
  /** The default filter of system calls. */
  readonly seccomp: boolean
}

type Check = keyof InsecureOptions

/** Nothing is switched off. */
export const SECURE: InsecureOptions = {
  capabilities: false,
  http: false,
  image: false,
  paths: false,
  pubkey: false,
  seccomp: false,
  tls: false,
}

const FETCH: readonly Check[] = ['image', 'tls', 'http', 'pubkey']
const RUN: readonly Check[] = ['capabilities', 'paths', 'seccomp']

/** `ondisk` is read and means nothing any more. */
const WORDS: ReadonlyMap<string, readonly Check[]> = new Map([
  ['none', []],
  ['image', ['image']],
  ['tls', ['tls']],
  ['ondisk', []],
  ['http', ['http']],
  ['pubkey', ['pubkey']],
  ['capabilities', ['capabilities']],
  ['paths', ['paths']],
  ['seccomp', ['seccomp']],
  ['all-fetch', FETCH],
  ['all-run', RUN],
  ['all', [...FETCH, ...RUN]],
])

/** The words of the option, in the order of its help text. */
export const INSECURE_OPTION_WORDS: readonly string[] = [...WORDS.keys()]

/** A comma list of words, in any case, without blanks. */
export function parseInsecureOptions(text: string): InsecureOptions {
  const off: {-readonly [Option in Check]: boolean} = {...SECURE}
  const seen = new Set<string>()
  for (const option of text.split(',')) {
    const word = option.toLowerCase()
    const checks = WORDS.get(word)
    if (checks === undefined) throw new RktError('RKT_BAD_INSECURE_OPTION', `unknown option ${JSON.stringify(option)}`)
    if (seen.has(word)) throw new RktError('RKT_BAD_INSECURE_OPTION', `duplicated option ${JSON.stringify(option)}`)
    seen.add(word)
    for (const check of checks) off[check] = true
  }
  return off
}

import {closeSync, constants, fstatSync, openSync, readSync} from 'node:fs'
import type {Diagnostics} from '../diagnostics.ts'
import {type Credential, Secret} from './secret.ts'

/** A file of Docker's format, by normalised names of registries: `HOST` or `HOST/prefix/of/repository`. */
export interface AuthFile {
  readonly path: string
  readonly credentials: ReadonlyMap<string, Credential>
  readonly helpers: ReadonlyMap<string, string>
  /** The helper for all other registries. */
  readonly store: string | null
}

interface Reading {
  readonly diagnostics: Diagnostics
  readonly uid: number
}

const limit = 1 << 20

/** Reads a file of credentials, or null where it is not there, cannot be read, or is not believed; `--debug` says why. */
export function readAuthFile(path: string, reading: Reading): AuthFile | null {
  const ignore = (why: string) => {
    reading.diagnostics.debug('registry', `ignoring the credentials of ${path}: ${why}`)
    return null
  }
  let text: string | Problem
  try {
    text = readBelievable(path, reading.uid)
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ENOTDIR' ? null : ignore(code ?? 'it cannot be read')
  }
  if (text instanceof Problem) return ignore(text.why)
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return ignore('it is no JSON') // the parser's own words would quote the file
  }
  const {auths, credHelpers, credsStore} = objectOf(document)
  const helpers = new Map<string, string>()
  for (const [key, helper] of Object.entries(objectOf(credHelpers))) {
    if (typeof helper === 'string' && helper !== '') helpers.set(normalKey(key), helper)
  }
  const credentials = new Map<string, Credential>()
  for (const [key, entry] of Object.entries(objectOf(auths))) {
    const credential = readEntry(objectOf(entry), path)
    if (credential !== null && !credentials.has(normalKey(key))) credentials.set(normalKey(key), credential)
  }
  return {credentials, helpers, path, store: typeof credsStore === 'string' && credsStore !== '' ? credsStore : null}
}

class Problem {
  readonly why: string

  constructor(why: string) {
    this.why = why
  }
}

/** Root believes no file that another user could have written: whose it is and who may write is asked of the open file. */
function readBelievable(path: string, uid: number): string | Problem {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) return new Problem('it is no regular file')
    if (uid === 0 && stat.uid !== 0) return new Problem(`it belongs to user ${stat.uid}, and root believes its own files only`)
    if (uid === 0 && (stat.mode & 0o022) !== 0) return new Problem('others than root may write it')
    if (stat.size > limit) return new Problem('it is too large')
    const bytes = Buffer.alloc(limit)
    let length = 0
    for (let count = -1; count !== 0; length += count) count = readSync(fd, bytes, length, limit - length, null)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(fd)
  }
}

/** `https://index.docker.io/v1/` is `index.docker.io`; without a scheme a path is a prefix of repositories. */
function normalKey(key: string): string {
  const [, scheme, rest = ''] = /^(https?:\/\/)?(.*)$/is.exec(key) ?? []
  const [host = '', ...path] = rest.replace(/\/+$/, '').split('/')
  const prefix = scheme !== undefined || /^v[12]$/.test(path.join('/')) ? [] : path
  return [host.toLowerCase(), ...prefix].join('/')
}

function readEntry({auth, identitytoken, password, registrytoken, username}: Record<string, unknown>, origin: string): Credential | null {
  const [user, secret] = typeof auth === 'string' && auth !== '' ? splitAuth(auth) : [textOf(username), textOf(password)]
  if (textOf(identitytoken) !== '') return {kind: 'identity', origin, token: new Secret(textOf(identitytoken)), user}
  if (textOf(registrytoken) !== '') return {kind: 'bearer', origin, token: new Secret(textOf(registrytoken))}
  return user === '' && secret === '' ? null : {kind: 'basic', origin, password: new Secret(secret), user}
}

/** `auth` is base64 of `user:password`; Docker itself may leave zero bytes at its end. */
function splitAuth(auth: string): readonly [string, string] {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '')
  const colon = text.indexOf(':')
  return colon < 0 ? ['', ''] : [text.slice(0, colon), text.slice(colon + 1)]
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

import {accessSync, constants, statSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {Diagnostics} from '../diagnostics.ts'
import {type Credential, Secret} from './secret.ts'

interface Asking {
  readonly diagnostics: Diagnostics
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The file that names the helper. */
  readonly origin: string
  readonly uid: number
  readonly timeoutMs?: number
}

/**
 * Asks `docker-credential-NAME get` for the credential of a server; null where it knows none. A helper that is not there or fails is
 * said, and counts as one that knows none: a public image needs none.
 */
export async function askHelper(name: string, server: string, asking: Asking): Promise<Credential | null> {
  const {diagnostics, environment, origin, timeoutMs = 30_000, uid} = asking
  const program = `docker-credential-${name}`
  const fail = (why: string) => {
    diagnostics.note('registry', `${program}, which ${origin} names, is not asked for credentials: ${why}`)
    return null
  }
  if (!/^[A-Za-z\d][A-Za-z\d._-]*$/.test(name)) {
    diagnostics.note(
      'registry',
      `${origin} names ${JSON.stringify(name.slice(0, 100))} as a helper for credentials, which is no name of a program`,
    )
    return null
  }
  const path = find(program, environment.PATH ?? '')
  if (path === null) return fail('it is not in the PATH')
  if (uid === 0 && !isRootsOwn(path)) return fail(`${path} could have been written by another user`)
  const {execa} = await import('execa')
  const {exitCode, stdout, timedOut} = await execa(path, ['get'], {
    env: environment as Record<string, string>,
    extendEnv: false,
    input: `${server}\n`,
    maxBuffer: 1 << 20,
    reject: false, // its error would quote what the helper wrote
    stderr: 'ignore',
    timeout: timeoutMs,
  })
  if (timedOut) return fail(`no answer within ${timeoutMs / 1000} seconds`)
  if (exitCode !== 0) return /not found/i.test(stdout) ? null : fail(`it ended with status ${exitCode ?? 'unknown'}`)
  const {Secret: secret, Username: user} = parse(stdout)
  if (typeof secret !== 'string' || typeof user !== 'string') return fail('its answer cannot be read')
  if (secret === '') return null
  const from = `${program}, which ${origin} names`
  if (user === '<token>') return {kind: 'identity', origin: from, token: new Secret(secret), user: ''}
  return {kind: 'basic', origin: from, password: new Secret(secret), user}
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {} // the parser's own words would quote the secret
  }
}

/** In the absolute directories of the PATH: the directory that we happen to be in names no program. */
function find(program: string, path: string): string | null {
  for (const directory of path.split(':').filter((entry) => entry.startsWith('/'))) {
    try {
      accessSync(join(directory, program), constants.X_OK)
      if (statSync(join(directory, program)).isFile()) return join(directory, program)
    } catch {
      // the next one
    }
  }
  return null
}

/** Root runs nothing that another user could have written. */
function isRootsOwn(path: string): boolean {
  return [path, dirname(path)].every((each) => {
    const {mode, uid} = statSync(each)
    return uid === 0 && (mode & 0o022) === 0
  })
}

import {closeSync, constants, type Dirent, fstatSync, openSync, readdirSync, readFileSync, type Stats, statSync} from 'node:fs'
import {basename, join} from 'node:path'
import {getSystemErrorMessage} from 'node:util'

import {RktError} from '../errors.ts'
import {isSystemRoot} from '../privileges.ts'
import {DIRECTORIES, PARSERS, quoteList, type Settings} from './kinds.ts'
import {type Members, membersOf, textOf} from './members.ts'
import {rememberFile} from './origins.ts'
import type {Config} from './types.ts'

/** Directories are read in this order, each overriding the ones before; absent ones, and ones that do not exist, are empty. */
export interface ConfigDirectories {
  readonly system?: string | undefined
  readonly local?: string | undefined
  readonly user?: string | undefined
}

const MAX_BYTES = 1024 * 1024

/** The configuration of the directories together. As root, only files that nobody else could have written are believed. */
export function loadConfig({local, system, user}: ConfigDirectories): Config {
  const layers = [system, local, user].flatMap((directory) => (directory ? [loadDirectory(directory)] : []))
  // layers override earlier ones key by key; name and version are set together, so they stay a pair
  return {
    auth: new Map(layers.flatMap(({auth}) => [...auth])),
    dockerAuth: new Map(layers.flatMap(({dockerAuth}) => [...dockerAuth])),
    paths: Object.assign({}, ...layers.map(({paths}) => paths)) as Config['paths'],
    stage1: Object.assign({}, ...layers.map(({stage1}) => stage1)) as Config['stage1'],
  }
}

function loadDirectory(base: string): Settings {
  const settings: Settings = {auth: new Map(), dockerAuth: new Map(), paths: {}, stage1: {}}
  for (const [name, kinds] of DIRECTORIES) {
    const directory = join(base, name)
    for (const file of configFiles(directory)) {
      requireTrusted(file, base, statSync(base))
      requireTrusted(file, directory, statSync(directory))
      loadFile(file, directory, kinds, settings)
    }
  }
  return settings
}

/** Paths of the regular files `*.json` directly inside, in lexical order; a link is not one. */
function configFiles(directory: string): string[] {
  const listed = attempt('open', directory, () => list(directory))
  if (listed === null) return []
  return listed
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    .map(({name}) => join(directory, name))
    .sort()
}

/** Null when there is nothing of that name. */
function list(directory: string): Dirent[] | null {
  try {
    return readdirSync(directory, {withFileTypes: true})
  } catch (thrown) {
    const {code} = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    if (code === 'ENOTDIR') throw new RktError('RKT_CONFIG_INVALID', `expected ${JSON.stringify(directory)} to be a directory`)
    throw thrown
  }
}

function loadFile(path: string, directory: string, kinds: readonly string[], into: Settings): void {
  const members = parseFile(path)
  const kind = field(path, members, 'rktKind')
  const version = field(path, members, 'rktVersion')
  if (!kinds.includes(kind)) {
    const expected = `the configuration directory ${JSON.stringify(directory)} expects to have configuration files of kinds ${quoteList(kinds)}`
    throw new RktError('RKT_CONFIG_INVALID', `${expected}, but ${JSON.stringify(basename(path))} has kind of ${JSON.stringify(kind)}`)
  }
  const parser = PARSERS.get(`${kind} ${version}`)
  if (parser === undefined) {
    const what = `configuration of kind ${JSON.stringify(kind)} and version ${JSON.stringify(version)}`
    throw new RktError('RKT_CONFIG_INVALID', `no parser available for ${what}`)
  }
  parsing(path, () => parser(members, into))
  for (const credentials of [...into.auth.values(), ...into.dockerAuth.values()]) rememberFile(credentials, path)
}

function parseFile(path: string): Members {
  const text = attempt('open', path, () => readTrusted(path))
  return parsing(path, () => membersOf(parseJson(text), 'the file'))
}

/** The reason of V8 without its excerpt of the file, which may be a password. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw new Error((thrown as Error).message.replace(/, (?:\.\.\.)?".*$/s, ' is not valid JSON'))
  }
}

function field(path: string, members: Members, key: 'rktKind' | 'rktVersion'): string {
  const value = parsing(path, () => textOf(members, key))
  if (value === '') throw new RktError('RKT_CONFIG_INVALID', `no ${key} specified in ${JSON.stringify(path)}`)
  return value
}

function parsing<T>(path: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new RktError('RKT_CONFIG_INVALID', `failed to parse ${JSON.stringify(path)}`, {cause})
  }
}

/** The very file that was checked: it is opened once, no link followed. */
function readTrusted(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(fd)
    requireTrusted(path, path, stats)
    if (!stats.isFile() || stats.size > MAX_BYTES) {
      throw new RktError('RKT_CONFIG_INVALID', `${JSON.stringify(path)} is not a regular file of at most 1 MiB`)
    }
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** Root does not obey what another user could have written. Group-writable is well: that group is root's to fill. */
function requireTrusted(file: string, holder: string, {mode, uid}: Stats): void {
  if (!isSystemRoot()) return
  const reason = uid !== 0 ? `is owned by user ${uid}, not by root` : (mode & 0o002) !== 0 ? 'can be written by every user' : null
  if (reason === null) return
  const subject = holder === file ? 'it' : `its directory ${JSON.stringify(holder)}`
  throw new RktError('RKT_CONFIG_UNSAFE', `refusing configuration file ${JSON.stringify(file)}: ${subject} ${reason}`, {
    hint: `Run "chown root ${holder}" and "chmod o-w ${holder}" if you trust what is in it.`,
  })
}

/** Runs a file operation; a failure of the system reads as in `open /path: permission denied`. */
function attempt<T>(operation: string, path: string, run: () => T): T {
  try {
    return run()
  } catch (thrown) {
    const {errno} = thrown as NodeJS.ErrnoException
    if (thrown instanceof RktError || errno === undefined) throw thrown
    const cause = new Error(`${operation} ${path}: ${getSystemErrorMessage(errno)}`)
    throw new RktError('RKT_CONFIG_UNREADABLE', `cannot read configuration ${JSON.stringify(path)}`, {cause})
  }
}

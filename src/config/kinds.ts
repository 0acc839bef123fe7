/** What each kind of file sets. A parser puts it into the settings of its directory, where a key may be set only once. */
import {type Members, membersOf, textOf, textsOf} from './members.ts'
import type {Auth, BasicCredentials} from './types.ts'

/** What the files of one directory set. */
export interface Settings {
  readonly auth: Map<string, Auth>
  readonly dockerAuth: Map<string, BasicCredentials>
  readonly paths: {data?: string; stage1Images?: string}
  readonly stage1: {name?: string; version?: string; location?: string}
}

/** Reads the fields of a file into the settings; throws a plain Error that says what is wrong. */
export type KindParser = (file: Members, into: Settings) => void

/** The directories below a configuration directory, and the kinds of files that each may hold. */
export const DIRECTORIES: ReadonlyMap<string, readonly string[]> = new Map([
  ['auth.d', ['auth', 'dockerAuth']],
  ['paths.d', ['paths']],
  ['stage1.d', ['stage1']],
])

/** Parsers by `KIND VERSION`. */
export const PARSERS: ReadonlyMap<string, KindParser> = new Map([
  ['auth v1', parseAuth],
  ['dockerAuth v1', parseDockerAuth],
  ['paths v1', parsePaths],
  ['stage1 v1', parseStage1],
])

function parseAuth(file: Members, {auth}: Settings): void {
  const domains = textsOf(file, 'domains')
  if (domains.length === 0) throw new Error('no domains specified')
  const entry = authOf(textOf(file, 'type'), membersOf(file.get('credentials'), 'credentials'))
  for (const domain of domains) {
    if (auth.has(domain)) throw new Error(`auth for domain ${JSON.stringify(domain)} is already specified`)
    auth.set(domain, entry)
  }
}

function authOf(type: string, credentials: Members): Auth {
  switch (type) {
    case '':
      throw new Error('no auth type specified')
    case 'basic':
      return {credentials: basicCredentials(credentials), type}
    case 'oauth':
      return {credentials: {token: required(credentials, 'token', 'no oauth bearer token specified')}, type}
    case 'aws': {
      const accessKeyID = required(credentials, 'accessKeyID', 'no AWS Access Key ID specified')
      const secretAccessKey = required(credentials, 'secretAccessKey', 'no AWS Secret Access Key specified')
      return {credentials: {accessKeyID, secretAccessKey, awsRegion: textOf(credentials, 'awsRegion')}, type}
    }
    default:
      throw new Error(`unknown auth type: ${JSON.stringify(type)}`)
  }
}

function basicCredentials(credentials: Members): BasicCredentials {
  const user = required(credentials, 'user', 'user not specified')
  return {user, password: required(credentials, 'password', 'password not specified')}
}

function required(members: Members, key: string, absent: string): string {
  const value = textOf(members, key)
  if (value === '') throw new Error(absent)
  return value
}

function parseDockerAuth(file: Members, {dockerAuth}: Settings): void {
  const registries = textsOf(file, 'registries')
  if (registries.length === 0) throw new Error('no registries specified')
  const credentials = basicCredentials(membersOf(file.get('credentials'), 'credentials'))
  for (const registry of registries) {
    if (dockerAuth.has(registry)) throw new Error(`credentials for docker registry ${JSON.stringify(registry)} are already specified`)
    dockerAuth.set(registry, credentials)
  }
}

function parsePaths(file: Members, {paths}: Settings): void {
  const data = textOf(file, 'data')
  if (data !== '') {
    if (paths.data !== undefined) throw new Error('data directory is already specified')
    if (!data.startsWith('/')) throw new Error('data directory must be an absolute path')
    paths.data = data
  }
  const stage1Images = textOf(file, 'stage1-images')
  if (stage1Images !== '') {
    if (paths.stage1Images !== undefined) throw new Error('stage1 images directory is already specified')
    if (!stage1Images.startsWith('/')) throw new Error('stage1 images directory must be an absolute path')
    paths.stage1Images = stage1Images
  }
}

function parseStage1(file: Members, {stage1}: Settings): void {
  const [name, version, location] = ['name', 'version', 'location'].map((key) => textOf(file, key)) as [string, string, string]
  const problem = stage1Problem(name, version, location)
  if (problem !== null) throw new Error(`invalid stage1 configuration: ${problem}`)
  if (name !== '') {
    if (stage1.name !== undefined) throw new Error('name and version of a default stage1 image are already specified')
    Object.assign(stage1, {name, version})
  }
  if (location !== '') {
    if (stage1.location !== undefined) throw new Error('location of a default stage1 image is already specified')
    stage1.location = location
  }
}

const SCHEMES = ['docker', 'file', 'http', 'https']

function stage1Problem(name: string, version: string, location: string): string | null {
  if (name === '' && version !== '') return 'default stage1 image version specified, but name is missing'
  if (name !== '' && version === '') return 'default stage1 image name specified, but version is missing'
  if (location === '' || location.startsWith('/')) return null
  const scheme = /^([A-Za-z][-+.A-Za-z0-9]*):/.exec(location)?.[1]?.toLowerCase()
  if (scheme === undefined) return 'default stage1 image location is either a relative path or a URL without scheme'
  if (!URL.canParse(location)) return `default stage1 image location is an invalid URL: ${withoutUser(location)}`
  if (SCHEMES.includes(scheme)) return null
  return `default stage1 image location URL has invalid scheme ${JSON.stringify(scheme)}, allowed schemes are ${quoteList(SCHEMES)}`
}

function withoutUser(url: string): string {
  return url.replace(/\/\/[^/]*@/, '//')
}

/** A list quoted as a whole, as its readers know it: `"a\", \"b"`. */
export function quoteList(words: readonly string[]): string {
  return JSON.stringify(words.join('", "'))
}

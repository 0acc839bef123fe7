import {closeSync, existsSync, openSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import {type ImageKey, isImageKey, type Store} from '../store/index.ts'

/** A flavor that lies beside the program. */
export interface InstalledFlavor {
  readonly path: string
  readonly key: ImageKey
  readonly name: string
  readonly version: string
}

export const defaultFlavor = 'native'

/** The flavors of this installation by their short names: `bin/flavors.json`, which the build writes. */
export function installedFlavors(directory: string = binDirectory()): ReadonlyMap<string, InstalledFlavor> {
  const path = join(directory, 'flavors.json')
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (isAbsent(error)) return new Map()
    throw new RktError('RKT_FLAVORS', `cannot read ${path}`, {cause: systemError('open', path, error), hint: 'Run "npm run build".'})
  }
  const flavors = new Map<string, InstalledFlavor>()
  for (const [flavor, entry] of Object.entries(isRecord(value) ? value : {})) {
    const {file, key, name, version} = isRecord(entry) ? entry : {}
    if (typeof file !== 'string' || typeof key !== 'string' || typeof name !== 'string' || typeof version !== 'string' || !isImageKey(key))
      throw new RktError('RKT_FLAVORS', `flavor "${flavor}" of ${path} is malformed`, {hint: 'Run "npm run build".'})
    flavors.set(flavor, {key, name, path: join(directory, file), version})
  }
  return flavors
}

/** The image of an installed flavor in the store; its file is read only when it is not there yet. */
export async function storedFlavor(store: Store, diagnostics: Diagnostics, {key, name, path, version}: InstalledFlavor): Promise<ImageKey> {
  if (store.has(key)) {
    diagnostics.debug('image', `using image from local store for image name ${name}:${version}`)
    return key
  }
  diagnostics.debug('image', `using image from file ${path}`)
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    throw systemError('open', path, error)
  }
  try {
    // What lies beside the program is as trusted as the program: no signature is asked for.
    return await store.importAci(fd, {expected: key, latest: false, origin: path, source: sourceOf(path)})
  } finally {
    closeSync(fd)
  }
}

/** `bin/` of the package that this file belongs to, bundled or not. */
export function binDirectory(): string {
  let at = import.meta.dirname
  while (!existsSync(join(at, 'package.json')) && at !== dirname(at)) at = dirname(at)
  return join(at, 'bin')
}

const isAbsent = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT'
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** The distribution point of a file (`cimd` URI), as references to files have it. */
const sourceOf = (path: string): string => `cimd:aci-archive:v=0:${encodeURIComponent(`file://${path}`)}`

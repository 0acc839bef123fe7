import {existsSync} from 'node:fs'
import {dirname, isAbsolute, join, resolve} from 'node:path'
import {labelValue, parseImageString} from '../appc/index.ts'
import type {Config, InsecureOptions} from '../config/index.ts'
import type {Diagnostics} from '../diagnostics.ts'
import {RktError} from '../errors.ts'
import type {ImageKey, Store} from '../store/index.ts'
import type {Treestore} from '../treestore/index.ts'
import {binDirectory, defaultFlavor, type InstalledFlavor, installedFlavors, storedFlavor} from './flavors.ts'

/** What a user said about the stage1 image: at most one of `--stage1-KIND`. */
export interface Stage1Choice {
  readonly kind: 'from-dir' | 'hash' | 'name' | 'path' | 'url'
  readonly value: string
}

export interface Stage1Ports {
  readonly config: Config
  readonly diagnostics: Diagnostics
  readonly options: {
    readonly insecure: InsecureOptions
    readonly localConfig: string
    readonly systemConfig: string
    readonly trustKeysFromHttps: boolean
  }
  readonly store: Store
  readonly treestore: Treestore
}

const defaultImagesDirectory = '/usr/lib/rkt/stage1-images'

/** The stage1 image of a pod: the one that the user names, else the configured one, else the default flavor beside the program. */
export async function selectStage1(ports: Stage1Ports, choice: Stage1Choice | undefined): Promise<ImageKey> {
  const flavors = installedFlavors()
  if (!choice) return await defaultImage(ports, flavors)
  switch (choice.kind) {
    case 'from-dir':
      return await find(ports, resolve(ports.config.paths.stage1Images ?? imagesDirectoryWith(choice.value), choice.value))
    case 'hash':
      return ports.store.resolveKey(choice.value)
    case 'name':
      return await byName(ports, flavors, choice.value)
    case 'path':
      return await find(ports, resolve(choice.value))
    case 'url':
      return await find(ports, choice.value)
  }
}

/** Where packages put stage1 images; an installation that keeps them beside the program has them there. */
const imagesDirectoryWith = (file: string): string =>
  [defaultImagesDirectory, binDirectory()].find((directory) => existsSync(join(directory, file))) ?? defaultImagesDirectory

/** Shipped names come from the store or from beside the program; nobody's server is asked for them. */
async function byName(ports: Stage1Ports, flavors: ReadonlyMap<string, InstalledFlavor>, text: string): Promise<ImageKey> {
  const {labels, name} = parseImageString(text)
  const hint =
    flavors.size > 0 ? `Installed are ${[...flavors.values()].map((each) => `${each.name}:${each.version}`).join(', ')}.` : undefined
  if (!isShipped(name)) {
    return await find(ports, text).catch((error: unknown) => {
      if (!(error instanceof RktError) || error.code !== 'RKT_DISCOVERY_FAILED') throw error
      throw new RktError(error.code, error.message, {cause: error.cause, hint})
    })
  }
  const flavor = [...flavors.values()].find((each) => each.name === name)
  const version = labelValue(labels, 'version')
  if (flavor && (version === undefined || version === flavor.version)) return await storedFlavor(ports.store, ports.diagnostics, flavor)
  try {
    return ports.store.findByName(name, labels)
  } catch (cause) {
    throw new RktError('RKT_STAGE1_NOT_FOUND', `stage1 image "${text}" is neither in the store nor beside the program`, {cause, hint})
  }
}

const shipped = ['native', 'fly', 'host', 'kvm'].map((flavor) => `coreos.com/rkt/stage1-${flavor}`)
const isShipped = (name: string) => shipped.includes(name)

async function defaultImage(ports: Stage1Ports, flavors: ReadonlyMap<string, InstalledFlavor>): Promise<ImageKey> {
  const {location, name, version} = ports.config.stage1
  const {diagnostics, store} = ports
  if (name !== undefined && version !== undefined && !version.endsWith('-dirty')) {
    const installed = [...flavors.values()].find((each) => each.name === name && each.version === version)
    if (installed && location === undefined) return await storedFlavor(store, diagnostics, installed)
    const {labels, name: imageName} = parseImageString(`${name}:${version}`)
    try {
      const key = store.findByName(imageName, labels)
      diagnostics.debug('image', `using image from local store for image name ${name}:${version}`)
      return key
    } catch (error) {
      // Not there yet is what its location is for.
      if (!(error instanceof RktError && error.code === 'RKT_IMAGE_NOT_FOUND')) throw error
    }
  }
  if (location !== undefined) return await fromLocation(ports, location)
  const flavor = flavors.get(defaultFlavor)
  if (!flavor) {
    const message =
      'neither the location of the default stage1 image nor its filename are set, use --stage1-{path,url,name,hash,from-dir} flag'
    throw new RktError('RKT_STAGE1_NOT_FOUND', message, {hint: 'Run "npm run build" to make the images that lie beside the program.'})
  }
  return await storedFlavor(store, diagnostics, flavor)
}

/** A configured file that is not there may lie beside the program under the same name. */
async function fromLocation(ports: Stage1Ports, location: string): Promise<ImageKey> {
  try {
    return await find(ports, location)
  } catch (cause) {
    if (!isAbsolute(location)) throw new RktError('RKT_STAGE1_FETCH', 'failed to fetch stage1 image', {cause})
    try {
      return await find(ports, join(binDirectory(), location.slice(dirname(location).length + 1)))
    } catch (second) {
      const message = 'failed to fetch stage1 image and failed to fall back to stage1 image in the rkt directory'
      throw new RktError('RKT_STAGE1_FETCH', message, {cause: second})
    }
  }
}

/** Never with the configured credentials, as documented. */
async function find(ports: Stage1Ports, reference: string): Promise<ImageKey> {
  const {findImage} = await import('../image/index.ts')
  const {insecure} = ports.options
  const {diagnostics, options, store, treestore} = ports
  return await findImage({config: {auth: new Map()}, diagnostics, options, store, treestore}, reference, {
    dependencies: false,
    insecure: comesWithTheProgram(reference) ? {...insecure, image: true} : insecure,
    progress: process.stderr,
    pullPolicy: 'new',
    render: false,
  })
}

/** Whoever could change these could change the program. */
function comesWithTheProgram(reference: string): boolean {
  const path = reference.startsWith('file://') ? reference.slice('file://'.length) : reference
  return isAbsolute(path) && [defaultImagesDirectory, binDirectory()].includes(dirname(resolve(path)))
}

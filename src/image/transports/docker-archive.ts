import {RktError} from '../../errors.ts'
import {type Digest, digestOf, hostPlatform, type ImageConfig, maxDocument, mediaTypes, parseConfig} from '../../oci/index.ts'
import {checkPlatform} from '../../registry/index.ts'
import type {NamedImage, StoredLayer} from '../../store/index.ts'
import {bringLayers, checkLayers, checkRoom, type IncomingLayer} from '../bring-layers.ts'
import {formatDistributionPoint} from '../distribution.ts'
import {type ImageFile, type ImageFiles, openImageFiles, readImageFile} from '../image-files.ts'
import {LayoutSource} from '../layout-source.ts'
import {isNamed, localName, referenceOf, whichImage} from '../local-identity.ts'
import type {LocalReference} from '../reference.ts'
import type {Session} from '../session.ts'
import {SigstoreVerification} from '../sigstore-verification.ts'
import {importFromLayout} from './oci-layout.ts'

/**
 * Imports an image of what `docker save` wrote; it is read again each time, whatever the pull policy says. Archives of today's Docker
 * are OCI layouts too, and read as such.
 */
export async function importDockerArchive(session: Session, {path, ref}: LocalReference): Promise<NamedImage> {
  session.say(`using image from Docker archive ${path}`)
  using files = await openImageFiles(path, session.ports.store.tmpDir())
  const source = formatDistributionPoint({ref, type: 'docker-archive', url: `file://${encodeURI(path)}`})
  if (files.open('oci-layout') !== null && files.open('index.json') !== null) {
    return await importFromLayout(session, await LayoutSource.read(files, path), {path, ref, source})
  }
  return await importSaved(session, files, {path, ref, source})
}

interface Wanted {
  readonly path: string
  readonly ref: string | null
  readonly source: string
}

async function importSaved(session: Session, files: ImageFiles, {path, ref, source}: Wanted): Promise<NamedImage> {
  const {store} = session.ports
  const item = select(await readItems(files, path), path, ref)
  const tags = ref === null ? item.tags : item.tags.toSorted((a, b) => Number(isNamed(b, ref)) - Number(isNamed(a, ref)))
  const name = localName(tags, path)
  const signature = session.verifies ? await SigstoreVerification.begin(session, {...name, reference: referenceOf(name)}) : null
  const configBytes = await readImageFile(files, item.config, maxDocument)
  if (configBytes === null) throw invalid(path, `it has no file ${JSON.stringify(item.config)}`)
  const config = parseConfig(configBytes, `the config of ${path}`)
  checkPlatform(config, hostPlatform(), path)
  const layers = await layersOf(files, path, item, config)
  // the archive does not hold the manifest that a signature could be for
  await signature?.check({bytes: configBytes, digest: digestOf(configBytes)}, null)
  checkRoom(layers, store.tmpDir())
  await using importing = await store.importOci()
  const stored = await bringLayers(importing, layers, {say: (message) => session.say(message), store})
  const manifestBytes = manifestOf(configBytes, stored, layers)
  const {host, repository, tag, typed} = name
  const key = await importing.commit({
    configBytes,
    identity: {host, manifestDigest: digestOf(manifestBytes), repository, tag, topLayer: stored.at(-1)?.digest, typed},
    latest: false,
    manifestBytes,
    mediaType: mediaTypes.manifest[1],
    source,
  })
  return {key, source}
}

interface Item {
  readonly config: string
  readonly tags: readonly string[]
  readonly layers: readonly string[]
}

async function readItems(files: ImageFiles, path: string): Promise<readonly Item[]> {
  const bytes = await readImageFile(files, 'manifest.json', maxDocument)
  if (bytes === null) {
    const old = files.open('repositories') !== null
    throw new RktError('RKT_DOCKER_ARCHIVE_INVALID', `${path} is no archive of "docker save"`, {
      cause: new Error('it has no file manifest.json'),
      hint: old
        ? 'Docker before 1.10 wrote it: load it into a current one, and save it again.'
        : 'What "docker export" writes is a tree without its configuration; use "docker save".',
    })
  }
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw invalid(path, 'its manifest.json is no JSON', cause)
  }
  if (!Array.isArray(value)) throw invalid(path, 'its manifest.json is no list')
  return value.map((item: unknown) => {
    const {Config: config, Layers: layers, RepoTags: tags} = (item ?? {}) as Record<string, unknown>
    if (typeof config !== 'string' || !isTexts(layers)) throw invalid(path, 'its manifest.json names no config or no layers')
    if (tags !== undefined && tags !== null && !isTexts(tags)) throw invalid(path, 'its manifest.json has tags that are none')
    return {config, layers, tags: tags ?? []}
  })
}

const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((text) => typeof text === 'string')

/** By tag, by place (`@0`), or the only one. */
function select(items: readonly Item[], path: string, ref: string | null): Item {
  const [, place] = /^@(\d{1,6})$/.exec(ref ?? '') ?? []
  const found = ref === null ? items : items.filter(({tags}, at) => String(at) === place || tags.some((tag) => isNamed(tag, ref)))
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  throw whichImage(
    path,
    ref,
    items.flatMap(({tags}, at) => (tags.length === 0 ? [`@${at}`] : tags)),
  )
}

const layerType = 'application/vnd.docker.image.rootfs.diff.tar'

interface SavedLayer extends IncomingLayer {
  readonly mediaType: string
}

async function layersOf(files: ImageFiles, path: string, item: Item, {diffIds}: ImageConfig): Promise<readonly SavedLayer[]> {
  if (item.layers.length !== diffIds.length)
    throw invalid(path, `its config has ${diffIds.length} DiffIDs for ${item.layers.length} layers`)
  const layers: SavedLayer[] = []
  for (const [at, name] of item.layers.entries()) {
    const file = files.open(name)
    const diffId = diffIds[at] as Digest
    if (file === null) throw invalid(path, `it has no layer ${JSON.stringify(name.slice(0, 200))}`)
    const compression = await compressionOf(file)
    const plain = compression === 'none'
    layers.push({
      diffId,
      // a layer that is not compressed is its own DiffID
      digest: plain ? diffId : null,
      mediaType: plain ? layerType : `${layerType}.${compression}`,
      open: async () => file.body(),
      size: plain ? file.size : null,
    })
  }
  checkLayers(
    layers.map(({diffId, mediaType}) => ({digest: diffId, mediaType})),
    path,
  )
  return layers
}

/** By its first bytes; what is none of these is refused when it is unpacked. */
async function compressionOf(file: ImageFile): Promise<'gzip' | 'none' | 'zstd'> {
  for await (const chunk of file.body()) {
    const magic = chunk.subarray(0, 4).toString('hex')
    return magic.startsWith('1f8b') ? 'gzip' : magic === '28b52ffd' ? 'zstd' : 'none'
  }
  return 'none'
}

/** The manifest that the archive does not hold: the same for the same content. It is not that of any registry. */
function manifestOf(configBytes: Buffer, stored: readonly StoredLayer[], layers: readonly SavedLayer[]): Buffer {
  const [, docker] = mediaTypes.manifest
  const manifest = {
    schemaVersion: 2,
    mediaType: docker,
    config: {mediaType: mediaTypes.config[1], size: configBytes.length, digest: digestOf(configBytes)},
    layers: stored.map(({digest, size}, at) => ({mediaType: layers[at]?.mediaType, size, digest})),
  }
  return Buffer.from(JSON.stringify(manifest))
}

function invalid(path: string, why: string, cause?: unknown): RktError {
  return new RktError('RKT_DOCKER_ARCHIVE_INVALID', `${path} is no archive of "docker save" that can be read: ${why}`, {cause})
}

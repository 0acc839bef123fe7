import {RktError} from '../../errors.ts'
import {choosePlatform, type Descriptor, digestOf, hostPlatform} from '../../oci/index.ts'
import {chooseImage} from '../../registry/index.ts'
import type {NamedImage} from '../../store/index.ts'
import {bringLayers, checkLayers, checkRoom, type IncomingLayer} from '../bring-layers.ts'
import {formatDistributionPoint} from '../distribution.ts'
import {openImageFiles} from '../image-files.ts'
import {LayoutSource, namesOf} from '../layout-source.ts'
import {isNamed, localName, referenceOf, whichImage} from '../local-identity.ts'
import type {LocalReference} from '../reference.ts'
import type {Session} from '../session.ts'
import {SigstoreVerification} from '../sigstore-verification.ts'

/** Imports an image of an OCI layout of this machine; it is read again each time, whatever the pull policy says. */
export async function importLayout(session: Session, {path, ref}: LocalReference): Promise<NamedImage> {
  session.say(`using image from OCI layout ${path}`)
  using files = await openImageFiles(path, session.ports.store.tmpDir())
  const layout = await LayoutSource.read(files, path)
  const source = formatDistributionPoint({ref, type: 'oci-image-layout', url: `file://${encodeURI(path)}`})
  return await importFromLayout(session, layout, {path, ref, source})
}

interface Wanted {
  readonly path: string
  readonly ref: string | null
  /** What the record says. */
  readonly source: string
}

/** The image of a layout that a reference means, verified as one of a registry is: by a signature that lies beside it. */
export async function importFromLayout(session: Session, layout: LayoutSource, {path, ref, source}: Wanted): Promise<NamedImage> {
  const {store} = session.ports
  const entry = select(layout, path, ref)
  const name = localName(namesOf(entry), path)
  const shown = ref === null ? path : `${path}:${ref}`
  const signature = session.verifies ? await SigstoreVerification.begin(session, {...name, reference: referenceOf(name)}) : null
  const image = await chooseImage(layout, {name: shown, platform: hostPlatform(), reference: {digest: entry.digest, tag: null}})
  await signature?.check(image.indexes[0] ?? image.manifest, layout)
  const {config, indexes, manifest} = image
  checkLayers(image.layers, shown)
  const layers = image.layers.map(({digest, size}, at): IncomingLayer => {
    const diffId = config.image.diffIds[at]
    if (diffId === undefined) throw new RktError('RKT_INTERNAL', `layer ${at} of ${shown} has no DiffID`)
    return {diffId, digest, open: async () => layout.blob(digest).body(), size}
  })
  checkRoom(layers, store.tmpDir())
  await using importing = await store.importOci()
  await bringLayers(importing, layers, {say: (message) => session.say(message), store})
  const {host, repository, tag, typed} = name
  const key = await importing.commit({
    configBytes: config.bytes,
    identity: {host, manifestDigest: digestOf(manifest.bytes), repository, tag, topLayer: layers.at(-1)?.digest ?? undefined, typed},
    indexBytes: indexes[0]?.bytes,
    latest: false,
    manifestBytes: manifest.bytes,
    mediaType: manifest.mediaType,
    source,
  })
  return {key, source}
}

/** By digest, by name, or the only one; of equal names for several platforms the one that fits. */
function select(layout: LayoutSource, path: string, ref: string | null): Descriptor {
  const {images} = layout
  const found = ref === null ? images : images.filter((entry) => entry.digest === ref || namesOf(entry).some((name) => isNamed(name, ref)))
  const [only] = found
  if (only !== undefined && found.every(({digest}) => digest === only.digest)) return only
  if (ref !== null && found.length > 1) return choosePlatform({...layout.index, manifests: found}, hostPlatform(), `${path}:${ref}`)
  throw whichImage(
    path,
    ref,
    images.map((entry) => namesOf(entry)[0] ?? entry.digest),
  )
}

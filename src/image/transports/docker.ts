import {RktError} from '../../errors.ts'
import {type DockerReference, digestOf, fullReference, parseDockerReference, typedHost} from '../../oci/index.ts'
import {openCredentials, openRegistry, type RegistryImage, type Repository} from '../../registry/index.ts'
import type {ImageKey, NamedImage} from '../../store/index.ts'
import {bringLayers, checkLayers, checkRoom, type IncomingLayer} from '../bring-layers.ts'
import {formatDistributionPoint} from '../distribution.ts'
import {notInStore} from '../not-in-store.ts'
import type {Session} from '../session.ts'
import {SigstoreVerification} from '../sigstore-verification.ts'
import {soundRemote, storedRemote, useStored} from '../stored-remote.ts'

/**
 * The image of a registry: of the store, or from the registry, as the pull policy says. What the last download of the reference gave is
 * kept under the whole of it, so that `busybox` and `docker.io/library/busybox:latest` are one.
 */
export async function findDocker(session: Session, text: string): Promise<NamedImage> {
  const {pullPolicy} = session.options
  const reference = parseDockerReference(text.replace(/^docker:\/\//, ''))
  const url = `docker://${fullReference(reference)}`
  const source = formatDistributionPoint({reference: fullReference(reference), type: 'docker'})
  const stored = pullPolicy === 'update' ? null : await storedRemote(session, url, source, text)
  if (stored !== null) return stored
  if (pullPolicy === 'never') throw notInStore(`URL ${JSON.stringify(text)}`, {kind: 'docker image'})
  session.say(`remote fetching from URL ${JSON.stringify(text)}`)
  const {host, repository} = reference
  const signature = session.verifies
    ? await SigstoreVerification.begin(session, {host, reference: fullReference(reference), repository})
    : null
  session.say(`fetching image from ${text}`)
  if (session.verifies && session.options.insecure.tls) session.note('warning: TLS verification has been disabled')
  return await fetchImage(session, {reference, signature, source, url})
}

interface Wanted {
  readonly reference: DockerReference
  readonly signature: SigstoreVerification | null
  readonly source: string
  /** Of the record. */
  readonly url: string
}

async function fetchImage(session: Session, {reference, signature, source, url}: Wanted): Promise<NamedImage> {
  const {store} = session.ports
  const repository = repositoryOf(session, reference)
  const known = await soundRemote(session, url)
  const record = (key: ImageKey, digest: string) =>
    store.putRemote({downloadTime: new Date(), etag: digest, key, maxAge: 0, signatureUrl: '', url})
  if (signature === null && known !== null && (await repository.digest(reference)) === known.etag) {
    session.say(`image for ${url} has not changed, not fetching.`)
    await record(known.key, known.etag)
    return await useStored(session, {key: known.key, source})
  }
  const image = await repository.image(reference)
  const top = image.indexes[0] ?? image.manifest
  await signature?.check(top, repository)
  const key =
    known !== null && known.etag === top.digest
      ? (await useStored(session, {key: known.key, source})).key
      : await importImage(session, {image, latest: reference.tag === 'latest', reference, repository, source})
  await record(key, top.digest)
  return {key, source}
}

function repositoryOf(session: Session, reference: DockerReference): Repository {
  const {config, diagnostics} = session.ports
  const registry = openRegistry({
    credentials: openCredentials({diagnostics, dockerAuth: config.dockerAuth ?? new Map(), environment: session.environment}),
    diagnostics,
    host: reference.host,
    http: session.http,
    insecure: {http: session.options.insecure.http},
    typedHost: typedHost(reference),
  })
  return registry.repository(reference.repository)
}

interface Found {
  readonly image: RegistryImage
  readonly latest: boolean
  readonly reference: DockerReference
  readonly repository: Repository
  readonly source: string
}

async function importImage(session: Session, {image, latest, reference, repository, source}: Found): Promise<ImageKey> {
  const {store} = session.ports
  const shown = fullReference(reference)
  const {config, indexes, manifest} = image
  checkLayers(image.layers, shown)
  const layers = image.layers.map((descriptor, at): IncomingLayer => {
    const diffId = config.image.diffIds[at]
    if (diffId === undefined) throw new RktError('RKT_INTERNAL', `layer ${at} of ${shown} has no DiffID`)
    const {digest, size} = descriptor
    return {diffId, digest, open: async (signal) => (await repository.blob(descriptor, {signal, verify: false})).body, size}
  })
  checkRoom(layers, store.tmpDir())
  await using importing = await store.importOci()
  try {
    await bringLayers(importing, layers, {progress: session.options.progress, say: (message) => session.say(message), store})
  } catch (cause) {
    if (!(cause instanceof RktError)) throw cause
    throw new RktError(cause.code, 'error getting the remote layer', {cause, hint: cause.hint})
  }
  const {host, repository: name, tag, typed} = reference
  return await importing.commit({
    configBytes: config.bytes,
    identity: {host, manifestDigest: digestOf(manifest.bytes), repository: name, tag, topLayer: layers.at(-1)?.digest ?? undefined, typed},
    indexBytes: indexes[0]?.bytes,
    latest,
    manifestBytes: manifest.bytes,
    mediaType: manifest.mediaType,
    source,
  })
}

import {type ImageManifest, labelValue} from '../../appc/index.ts'
import {RktError} from '../../errors.ts'
import {redactUrl} from '../../http/index.ts'
import type {NamedImage} from '../../store/index.ts'
import {notInStore} from '../not-in-store.ts'
import type {NameReference} from '../reference.ts'
import type {Session} from '../session.ts'
import {useStored} from '../stored-remote.ts'
import {checkIssuer} from '../verification.ts'
import {fetchArchive} from './http.ts'

/** The image of a name: of the store, or from where its publisher says that it lies, as the pull policy says. */
export async function findName(session: Session, reference: NameReference): Promise<NamedImage> {
  const {pullPolicy} = session.options
  if (pullPolicy !== 'update') {
    const stored = storedName(session, reference)
    if (stored !== null) {
      session.say(`using image from local store for image name ${reference.text}`)
      return await useStored(session, stored)
    }
  }
  if (pullPolicy === 'never') {
    throw notInStore(`image name ${JSON.stringify(reference.text)}`, {unvouched: lookUp(session, reference, true) !== null})
  }
  return await fetchName(session, reference)
}

/** The image of that name that the store has, and that may be believed. */
export function storedName(session: Session, reference: NameReference): NamedImage | null {
  return lookUp(session, reference, !session.verifies)
}

function lookUp({ports}: Session, {labels, name}: NameReference, unvouched: boolean): NamedImage | null {
  try {
    return ports.store.findNamed(name, labels, {unvouched})
  } catch (error) {
    if (error instanceof RktError && error.code === 'RKT_IMAGE_NOT_FOUND') return null
    throw error
  }
}

async function fetchName(session: Session, {labels, name, text}: NameReference): Promise<NamedImage> {
  session.say(`searching for app image ${name}`)
  const {archive, signature} = await locate(session, {labels, name, text})
  session.say(`remote fetching from URL ${JSON.stringify(redactUrl(archive))}`)
  if (session.verifies) await session.discoverKeys(name)
  return await fetchArchive(session, {
    judge: (bytes) => checkIssuer(session, name, bytes),
    latest: labelValue(labels, 'version') === undefined,
    signatureUrl: parse(signature),
    source: {labels, name, type: 'appc'},
    text: archive,
    url: parse(archive),
    ...(session.verifies && {check: (manifest: ImageManifest) => checkIdentity(manifest, {labels, name})}),
  })
}

async function locate(session: Session, {labels, name, text}: Pick<NameReference, 'labels' | 'name' | 'text'>) {
  try {
    const {discoverEndpoints} = await import('../../discovery/index.ts')
    const {http} = session.options.insecure
    const {items, prefix} = await discoverEndpoints(session.discoveryPorts(http), {labels, name})
    const endpoint = items.find(({archive, signature}) => http || ![archive, signature].some(isPlainHttp))
    if (endpoint !== undefined) return endpoint
    const [first] = items
    if (first === undefined) throw new Error('no endpoints discovered')
    throw new RktError('RKT_DISCOVERY_FAILED', `the page of ${prefix} leads to ${redactUrl(first.archive)}, which is not encrypted`, {
      hint: 'Allow it with --insecure-options=http; signatures count all the same.',
    })
  } catch (cause) {
    const hint = isPlace(name) ? (cause instanceof RktError ? cause.hint : undefined) : notAPlace(name)
    throw new RktError('RKT_DISCOVERY_FAILED', `discovery failed for ${JSON.stringify(text)}`, {cause, hint})
  }
}

/** A publisher's host has a dot in its name. */
const isPlace = (name: string): boolean => /^(?:localhost|[^/]*\.[^/]*)(?:\/|$)/.test(name)

const notAPlace = (name: string): string =>
  `${JSON.stringify(name)} is no name of a publisher: an archive is a path that ends in ".aci", an image of a registry docker://${name}.`

const isPlainHttp = (url: string): boolean => URL.parse(url)?.protocol === 'http:'

/** Templates are a stranger's text. */
function parse(text: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url
  throw new RktError('RKT_DISCOVERY_FAILED', `discovery leads to ${JSON.stringify(redactUrl(text))}, which is no http URL`)
}

/** A server cannot give another image than the one that was asked for. */
function checkIdentity(manifest: ImageManifest, {labels, name}: Pick<NameReference, 'labels' | 'name'>): void {
  const refuse = (message: string) => new RktError('RKT_IMAGE_MISMATCH', message)
  if (manifest.name !== name) {
    throw refuse(`error when reading the app name: ${JSON.stringify(name)} expected but ${JSON.stringify(manifest.name)} found`)
  }
  for (const wanted of labels) {
    const found = labelValue(manifest.labels ?? [], wanted.name)
    if (found === undefined) throw refuse(`requested label ${JSON.stringify(wanted.name)} not provided by the image manifest`)
    if (found === wanted.value) continue
    const [label, asked, got] = [wanted.name, wanted.value, found].map((each) => JSON.stringify(each))
    throw refuse(`requested value for label ${label}: ${asked} differs from fetched aci label value: ${got}`)
  }
}

import {RktError} from '../errors.ts'
import {redactUrl} from '../http/index.ts'
import type {ImageKey, NamedImage} from '../store/index.ts'
import {findDependencies} from './dependencies.ts'
import {formatDistributionPoint} from './distribution.ts'
import {notInStore} from './not-in-store.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'
import {type ImageReference, parseImageReference} from './reference.ts'
import {Session} from './session.ts'
import {storedRemote} from './stored-remote.ts'
import {importFile} from './transports/file.ts'
import {fetchArchive} from './transports/http.ts'
import {findName} from './transports/name.ts'
import {signatureUrlOf} from './transports/signature.ts'

/**
 * The key of the image that a reference asks for, which is then in the store: found there, imported from a file, or fetched, as
 * the pull policy says, and verified unless the user said otherwise; with what it depends on and rendered, if that was asked for.
 */
export async function findImage(ports: ImagePorts, reference: string, options: FindImageOptions): Promise<ImageKey> {
  return (await findNamedImage(ports, reference, options)).key
}

/** The same, and by which of its sources it was asked for: one content may have several, and a name by each. */
export async function findNamedImage(ports: ImagePorts, reference: string, options: FindImageOptions): Promise<NamedImage> {
  using session = new Session(ports, options)
  const image = await findSingle(session, parseImageReference(reference))
  if (options.dependencies) await withDependencies(session, image.key)
  if (options.render) await renderAhead(ports, image.key)
  return image
}

/** An image that cannot be completed does not stay, unless it was there before. */
async function withDependencies(session: Session, key: ImageKey): Promise<void> {
  try {
    await findDependencies(session, key)
  } catch (error) {
    if (session.imported.has(key)) await session.ports.store.remove(key)
    throw error
  }
}

/** Each kind of reference has its transport. */
async function findSingle(session: Session, reference: ImageReference): Promise<NamedImage> {
  switch (reference.kind) {
    case 'hash':
      return findByHash(session, reference.text)
    case 'file':
      return await importFile(session, reference.path)
    case 'url':
      return await findUrl(session, reference)
    case 'name':
      return await findName(session, reference)
    case 'docker': {
      const {findDocker} = await import('./transports/docker.ts')
      return await findDocker(session, reference.text)
    }
    case 'oci-image-layout': {
      const {importLayout} = await import('./transports/oci-layout.ts')
      return await importLayout(session, reference)
    }
    case 'docker-archive': {
      const {importDockerArchive} = await import('./transports/docker-archive.ts')
      return await importDockerArchive(session, reference)
    }
  }
}

function findByHash(session: Session, text: string): NamedImage {
  const {store} = session.ports
  try {
    const key = store.resolveKey(text)
    session.say(`using image from the store with hash ${key}`)
    store.touch(key)
    return {key}
  } catch (cause) {
    if (!(cause instanceof RktError)) throw cause
    throw new RktError(cause.code, `could not resolve image ${JSON.stringify(text)}`, {cause, hint: cause.hint})
  }
}

async function findUrl(session: Session, {text, url}: ImageReference & {kind: 'url'}): Promise<NamedImage> {
  const {pullPolicy} = session.options
  const source = {type: 'aci-archive', url: redactUrl(text)} as const
  const stored = pullPolicy === 'update' ? null : await storedRemote(session, text, formatDistributionPoint(source))
  if (stored !== null) return stored
  const shown = JSON.stringify(redactUrl(text))
  const unvouched = () => session.ports.store.remote(text, {unvouched: true}) !== null
  if (pullPolicy === 'never') throw notInStore(`URL ${shown}`, {unvouched: unvouched()})
  session.say(`remote fetching from URL ${shown}`)
  return await fetchArchive(session, {
    latest: false,
    signatureUrl: signatureUrlOf(url),
    source,
    text,
    url,
  })
}

async function renderAhead({treestore}: ImagePorts, key: ImageKey): Promise<void> {
  if (process.geteuid?.() !== 0) return
  try {
    if (treestore.isRendered(treestore.idOf(key)) || treestore.overlayProblem() !== null) return
    await treestore.render(key)
  } catch (cause) {
    if (!(cause instanceof RktError)) throw cause
    throw new RktError(cause.code, 'error rendering tree store', {cause, hint: cause.hint})
  }
}

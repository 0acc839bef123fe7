import {RktError} from '../errors.ts'
import type {ImageKey} from '../store/index.ts'
import {checkDependencies} from './dependencies.ts'
import {importFile} from './file-transport.ts'
import {fetchUrl} from './http-transport.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'
import {type ImageReference, parseImageReference} from './reference.ts'
import {say} from './say.ts'

/**
 * The key of the image that a reference asks for, which is then in the store: found there, imported from a file, or fetched, as
 * the pull policy says; with what it depends on and rendered, if that was asked for.
 */
export async function findImage(ports: ImagePorts, reference: string, options: FindImageOptions): Promise<ImageKey> {
  const key = await findSingle(ports, parseImageReference(reference), options)
  if (options.render) await renderAhead(ports, key)
  return key
}

async function findSingle(ports: ImagePorts, reference: ImageReference, options: FindImageOptions): Promise<ImageKey> {
  switch (reference.kind) {
    case 'hash':
      return withDependencies(ports, findByHash(ports, reference.text), options)
    case 'file':
      return await importFile(ports, reference.path, options)
    case 'url':
      return await findUrl(ports, reference, options)
    case 'name':
      return withDependencies(ports, findName(ports, reference, options), options)
    case 'docker':
    case 'oci':
      return withDependencies(ports, findRegistryImage(ports, reference, options), options)
  }
}

function findByHash({diagnostics, store}: ImagePorts, text: string): ImageKey {
  try {
    const key = store.resolveKey(text)
    say(diagnostics, `using image from the store with hash ${key}`)
    store.touch(key)
    return key
  } catch (cause) {
    if (!(cause instanceof RktError)) throw cause
    throw new RktError(cause.code, `could not resolve image ${JSON.stringify(text)}`, {cause, hint: cause.hint})
  }
}

async function findUrl(ports: ImagePorts, {text, url}: ImageReference & {kind: 'url'}, options: FindImageOptions): Promise<ImageKey> {
  const stored = options.pullPolicy === 'update' ? null : storedRemote(ports, text, `url ${text}`)
  if (stored !== null) return withDependencies(ports, stored, options)
  if (options.pullPolicy === 'never') throw notInStore(`URL ${JSON.stringify(text)}`)
  return await fetchUrl(ports, {text, url}, options)
}

function findName({diagnostics, store}: ImagePorts, reference: ImageReference & {kind: 'name'}, {pullPolicy}: FindImageOptions): ImageKey {
  const {labels, name, text} = reference
  if (pullPolicy !== 'update') {
    try {
      const key = store.findByName(name, labels)
      say(diagnostics, `using image from local store for image name ${text}`)
      store.touch(key)
      return key
    } catch (error) {
      if (!(error instanceof RktError) || error.code !== 'RKT_IMAGE_NOT_FOUND') throw error
    }
  }
  if (pullPolicy === 'never') throw notInStore(`image name ${JSON.stringify(text)}`)
  throw unsupported(`image name ${JSON.stringify(text)}`, 'image discovery is not available in this version', pullPolicy)
}

function findRegistryImage(
  ports: ImagePorts,
  {kind, text}: ImageReference & {kind: 'docker' | 'oci'},
  options: FindImageOptions,
): ImageKey {
  const stored = options.pullPolicy === 'update' ? null : storedRemote(ports, text, `url ${text}`)
  if (stored !== null) return stored
  if (options.pullPolicy === 'never') throw notInStore(`URL ${JSON.stringify(text)}`, kind === 'docker' ? 'docker image' : 'image')
  throw unsupported(`URL ${JSON.stringify(text)}`, 'registries and OCI layouts are not available in this version', options.pullPolicy)
}

/** The image that the last download of a URL gave. */
function storedRemote({diagnostics, store}: ImagePorts, url: string, label: string): ImageKey | null {
  const remote = store.remote(url)
  if (remote === null) return null
  say(diagnostics, `using image from local store for ${label}`)
  store.touch(remote.key)
  return remote.key
}

function notInStore(what: string, kind = 'image'): RktError {
  const reason = 'either image was not found in the store or store was disabled and fetching from remote yielded nothing or it was disabled'
  return new RktError('RKT_IMAGE_NOT_FOUND', `unable to fetch ${kind} from ${what}: ${reason}`, {
    hint: 'Run "rkt image list" to see the images of the store, or allow the remote with --pull-policy=new.',
  })
}

function unsupported(what: string, reason: string, pullPolicy: FindImageOptions['pullPolicy']): RktError {
  const stored = pullPolicy === 'update' ? ', or use --pull-policy=new to take an image that is in the store' : ''
  return new RktError('RKT_TRANSPORT_UNSUPPORTED', `unable to fetch image from ${what}: ${reason}`, {
    hint: `Give the path or the http(s) URL of an image archive (.aci)${stored}.`,
  })
}

function withDependencies(ports: ImagePorts, key: ImageKey, {dependencies}: FindImageOptions): ImageKey {
  if (dependencies) checkDependencies(ports, key, ports.store.manifest(key))
  return key
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

/** What pods may ask (appc.md §12): `/TOKEN/acMetadata/v1/…`. */

import {
  type Annotation,
  encodeImageManifest,
  encodePodManifest,
  type ImageManifest,
  parseAcIdentifier,
  parseAcName,
  parseUuid,
  type RuntimeApp,
  type Uuid,
} from '../appc/index.ts'
import {causeChain} from '../errors.ts'
import {type Answer, type Asked, ok, okJson, type Route, refused} from './answer.ts'
import {parseForm} from './form.ts'
import {appOf, type RegisteredPod, type Registry} from './registry.ts'
import type {Signer} from './signer.ts'

/** What may be signed in one piece. */
const maxFormBytes = 4 << 20

const noSuchPage = refused(404, '404 page not found\n')

/** The answer to a pod. Nothing of the body is read for a token that nobody has. */
export function publicRoute(registry: Registry, signer: Signer, {method, parts, query}: Asked): Route {
  const [token = '', prefix, version, ...rest] = parts
  if (prefix !== 'acMetadata' || version !== 'v1') return noSuchPage
  const asked = matched(rest)
  if (asked === undefined) return noSuchPage
  if (method !== asked.method) return refused(405)
  // Anybody may ask whether a signature is good.
  if (asked.kind === 'verify') return {limit: maxFormBytes, read: (body) => verify(signer, fieldsOf(body, query))}
  const pod = registry.authenticate(token)
  if (pod === undefined) return refused(401, 'pod not found\n')
  if (asked.method === 'POST') return {limit: maxFormBytes, read: (body) => sign(signer, pod.uuid, fieldsOf(body, query))}
  return asked.kind === 'pod' ? podAnswer(pod, asked.what, asked.name) : appAnswer(pod, asked)
}

type Match = {readonly kind: 'sign' | 'verify'; readonly method: 'POST'} | AppMatch | PodMatch

interface PodMatch {
  readonly kind: 'pod'
  readonly method: 'GET'
  readonly what: PodFact
  readonly name?: string
}

interface AppMatch {
  readonly kind: 'app'
  readonly method: 'GET'
  readonly app: string
  readonly what: AppFact
  readonly name?: string
}

type PodFact = 'annotation' | 'annotations' | 'manifest' | 'uuid'
type AppFact = 'annotation' | 'annotations' | 'id' | 'manifest'

function matched([head, ...rest]: readonly string[]): Match | undefined {
  if (head === 'pod') {
    const path = rest.join('/')
    if (path === 'hmac/sign' || path === 'hmac/verify') return {kind: path === 'hmac/sign' ? 'sign' : 'verify', method: 'POST'}
    if (path === 'annotations' || path === 'manifest' || path === 'uuid') return {kind: 'pod', method: 'GET', what: path}
    const name = below('annotations', rest)
    return name === undefined ? undefined : {kind: 'pod', method: 'GET', name, what: 'annotation'}
  }
  const [app, ...facts] = rest
  if (head !== 'apps' || app === undefined) return undefined
  const path = facts.join('/')
  if (path === 'annotations') return {app, kind: 'app', method: 'GET', what: path}
  if (path === 'image/manifest' || path === 'image/id') {
    return {app, kind: 'app', method: 'GET', what: path === 'image/id' ? 'id' : 'manifest'}
  }
  const name = below('annotations', facts)
  return name === undefined ? undefined : {app, kind: 'app', method: 'GET', name, what: 'annotation'}
}

/** Names of annotations have slashes in them, which a client may have left as they are. */
const below = (head: string, [first, ...rest]: readonly string[]) => (first === head && rest.length > 0 ? rest.join('/') : undefined)

function podAnswer({manifest, uuid}: RegisteredPod, what: PodFact, name = ''): Answer {
  switch (what) {
    case 'uuid':
      return ok(uuid)
    case 'manifest':
      return okJson(encodePodManifest(manifest))
    case 'annotations':
      return okJson(JSON.stringify(manifest.annotations ?? []))
    case 'annotation':
      if (!isValid(parseAcIdentifier, name)) return refused(400, `Pod annotation ${JSON.stringify(name)} is not a valid AC Identifier`)
      return annotationValue(manifest.annotations ?? [], name) ?? refused(404, `Pod annotation ${JSON.stringify(name)} not found`)
  }
}

function appAnswer(pod: RegisteredPod, {app: text, name = '', what}: AppMatch): Answer {
  if (text === '') return refused(400, 'app missing')
  if (!isValid(parseAcName, text)) return refused(400, `App name ${JSON.stringify(text)} is not a valid AC Name`)
  const app = appOf(pod, text)
  const image = pod.images.get(text)
  if (app === undefined || image === undefined) return refused(404, 'app not found\n')
  switch (what) {
    case 'id':
      return ok(app.image.id ?? '')
    case 'manifest':
      return okJson(encodeImageManifest(image))
    case 'annotations':
      return okJson(JSON.stringify(annotationsOf(image, app)))
    case 'annotation':
      if (!isValid(parseAcIdentifier, name)) {
        return refused(400, `App annotation name ${JSON.stringify(name)} is not a valid AC Identifier`)
      }
      return annotationValue(annotationsOf(image, app), name) ?? refused(404, `App annotation ${JSON.stringify(name)} not found`)
  }
}

/** The image's annotations, those that the pod gives to the app in their place or behind them. */
export function annotationsOf({annotations: own = []}: ImageManifest, {annotations: given = []}: RuntimeApp): Annotation[] {
  const merged = new Map([...own, ...given].map(({name, value}) => [name, value]))
  return [...merged].map(([name, value]) => ({name, value}))
}

function annotationValue(annotations: readonly Annotation[], wanted: string): Answer | undefined {
  const found = annotations.find(({name}) => name === wanted)
  return found && ok(found.value)
}

function isValid(parse: (text: string) => unknown, text: string): boolean {
  try {
    parse(text)
    return true
  } catch {
    return false
  }
}

type Fields = (name: string) => Buffer

/** A field of the body, else of the target; empty when it is in neither. */
function fieldsOf(body: Buffer, query: URLSearchParams): Fields {
  const form = parseForm(body)
  return (name) => form.get(name) ?? Buffer.from(query.get(name) ?? '')
}

function sign(signer: Signer, uuid: Uuid, field: Fields): Answer {
  const content = field('content')
  return content.length === 0 ? refused(400, 'content form value not found') : ok(signer.sign(uuid, content).toString('base64'))
}

function verify(signer: Signer, field: Fields): Answer {
  let uuid: Uuid
  try {
    uuid = parseUuid(field('uuid').toString())
  } catch (error) {
    return refused(400, `uuid field missing or malformed: ${causeChain(error).at(-1)}`)
  }
  const content = field('content')
  if (content.length === 0) return refused(400, 'content field missing')
  const encoded = field('signature').toString('latin1')
  const signature = Buffer.from(encoded, 'base64')
  // Node skips what is no base64; a signature has one spelling.
  if (encoded === '' || signature.toString('base64') !== encoded) {
    return refused(400, `signature field missing or corrupt: ${encoded === '' ? 'it is empty' : 'illegal base64 data'}`)
  }
  return signer.verify(uuid, content, signature) ? ok() : refused(403)
}

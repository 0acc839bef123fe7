/** What stage0 says over the socket that is root's alone: `/pods/UUID…`. */

import {parseAcName, parseImageManifest, parsePodManifest, parseUuid, type Uuid} from '../appc/index.ts'
import {causeChain} from '../errors.ts'
import {type Answer, type Asked, ok, type Route, refused} from './answer.ts'
import type {Registry} from './registry.ts'

/** What a manifest may take. */
const maxManifestBytes = 16 << 20

/** A token goes into URLs as it is. */
export const isToken = (text: string) => /^[\w.-]{16,128}$/.test(text)

export function registrationRoute(registry: Registry, {method, parts, query}: Asked): Route {
  const [head, text = '', app, ...more] = parts
  if (head !== 'pods' || more.length > 0) return refused(404, '404 page not found\n')
  if (method !== 'PUT' && (method !== 'DELETE' || app !== undefined)) return refused(405)
  let uuid: Uuid
  try {
    uuid = parseUuid(text)
  } catch (error) {
    return refused(400, `UUID is missing or malformed: ${innermost(error)}`)
  }
  if (method === 'DELETE') return registry.delete(uuid) ? ok() : refused(404, 'pod not found')
  return app === undefined ? putPod(registry, uuid, query.get('token') ?? '') : putApp(registry, uuid, app)
}

function putPod(registry: Registry, uuid: Uuid, token: string): Route {
  if (token === '') return refused(400, 'token missing')
  if (!isToken(token)) return refused(400, 'token malformed')
  return {
    limit: maxManifestBytes,
    read: (body) =>
      decoded(() => {
        const manifest = parsePodManifest(body, 'pod manifest')
        const images = registry.get(uuid)?.images ?? new Map()
        return registry.put({images, manifest, token, uuid}) ? ok() : refused(400, 'token is the one of another pod')
      }),
  }
}

function putApp(registry: Registry, uuid: Uuid, name: string): Route {
  if (name === '') return refused(400, 'app missing')
  try {
    parseAcName(name)
  } catch (error) {
    return refused(400, `app malformed: ${innermost(error)}`)
  }
  const pod = registry.get(uuid)
  if (pod === undefined) return refused(404, 'Pod with given UUID not found')
  return {
    limit: maxManifestBytes,
    read: (body) =>
      decoded(() => {
        pod.images.set(name, parseImageManifest(body, 'image manifest'))
        return ok()
      }),
  }
}

function decoded(read: () => Answer): Answer {
  try {
    return read()
  } catch (error) {
    return refused(400, `JSON-decoding failed: ${innermost(error)}`)
  }
}

const innermost = (error: unknown) => causeChain(error).at(-1)

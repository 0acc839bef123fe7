/**
 * Manifests that are not valid but whose image or pod must still be shown or removed: plain strings, nothing checked but the
 * JSON and its kind.
 */
import {foldMembers, isObject, type Members} from './fold.ts'
import {documentOfKind} from './manifest.ts'
import type {LenientImageManifest, LenientPodManifest} from './types.ts'

export function lenientImageManifest(json: string | Uint8Array): LenientImageManifest {
  const manifest = members(documentOfKind(json, 'an image', 'ImageManifest'), ['acVersion', 'name', 'labels'])
  return {acKind: 'ImageManifest', acVersion: text(manifest.acVersion), labels: labels(manifest.labels), name: text(manifest.name)}
}

export function lenientPodManifest(json: string | Uint8Array): LenientPodManifest {
  const manifest = members(documentOfKind(json, 'a pod', 'PodManifest'), ['acVersion', 'apps'])
  const apps = list(manifest.apps).map((item) => {
    const app = members(item, ['name', 'image'])
    const image = members(app.image, ['name', 'id', 'labels'])
    return {image: {id: text(image.id), labels: labels(image.labels), name: text(image.name)}, name: text(app.name)}
  })
  return {acKind: 'PodManifest', acVersion: text(manifest.acVersion), apps}
}

function members(value: unknown, names: readonly string[]): Members {
  return isObject(value) ? foldMembers(value, names) : {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function labels(value: unknown): LenientImageManifest['labels'] {
  return list(value).map((item) => {
    const label = members(item, ['name', 'value'])
    return {name: text(label.name), value: text(label.value)}
  })
}

/** Manifests for tests: the least that is valid, with other fields on top. */
import assert from 'node:assert/strict'

import type {RktError} from '../errors.ts'
import {parseImageManifest, parsePodManifest} from './index.ts'

export type Fields = Readonly<Record<string, unknown>>

export const IMAGE = {acKind: 'ImageManifest', acVersion: '0.8.11', name: 'example.com/a'}
export const POD = {acKind: 'PodManifest', acVersion: '0.8.11'}
export const APP = {group: '0', user: '0'}

export const image = (fields: Fields) => parseImageManifest(JSON.stringify({...IMAGE, ...fields}), 'a.aci')
export const app = (fields: Fields) => image({app: {...APP, ...fields}}).app
export const pod = (fields: Fields) => parsePodManifest(JSON.stringify({...POD, ...fields}), 'pod.json')
export const podApp = (fields: Fields) => pod({apps: [{image: {id: 'sha512-a'}, name: 'a', ...fields}]}).apps[0]

/** Where and why reading is refused. */
export function problem(read: () => unknown): string {
  try {
    read()
  } catch (thrown) {
    const {code, message} = thrown as RktError
    assert.equal(code, 'RKT_MANIFEST_INVALID')
    return message.replace(/^invalid (?:image|pod) manifest of (?:a\.aci|pod\.json): /, '')
  }
  return assert.fail('was accepted')
}

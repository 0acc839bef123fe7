import {createHash} from 'node:crypto'
import type {ImageManifest, PodManifest, RuntimeApp, Uuid} from '../appc/index.ts'

/** What the service knows of a pod. */
export interface RegisteredPod {
  readonly uuid: Uuid
  readonly token: string
  readonly manifest: PodManifest
  /** Manifests of the apps' images by the apps' names. */
  readonly images: Map<string, ImageManifest>
}

/** The pods that are registered, in memory. */
export class Registry {
  readonly #byUuid = new Map<Uuid, RegisteredPod>()
  readonly #byToken = new Map<string, RegisteredPod>()

  get size(): number {
    return this.#byUuid.size
  }

  /** Adds a pod, or takes the place of what was known of it; false when its token is another pod's. */
  put(pod: RegisteredPod): boolean {
    const digest = digestOf(pod.token)
    const owner = this.#byToken.get(digest)
    if (owner !== undefined && owner.uuid !== pod.uuid) return false
    this.delete(pod.uuid)
    this.#byUuid.set(pod.uuid, pod)
    this.#byToken.set(digest, pod)
    return true
  }

  delete(uuid: Uuid): boolean {
    const pod = this.#byUuid.get(uuid)
    if (pod === undefined) return false
    this.#byToken.delete(digestOf(pod.token))
    return this.#byUuid.delete(uuid)
  }

  get(uuid: Uuid): RegisteredPod | undefined {
    return this.#byUuid.get(uuid)
  }

  /** The pod that a token authenticates. */
  authenticate(token: string): RegisteredPod | undefined {
    return this.#byToken.get(digestOf(token))
  }
}

/** Looked up by digest: how long a look-up takes says nothing about the tokens that there are. */
const digestOf = (token: string) => createHash('sha256').update(token).digest('base64')

export const appOf = ({manifest}: RegisteredPod, name: string): RuntimeApp | undefined => manifest.apps.find((app) => app.name === name)

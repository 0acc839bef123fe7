import {redactUrl} from '../http/index.ts'
import type {NamedImage, Remote} from '../store/index.ts'
import type {Session} from './session.ts'

/** The image that the last download of a URL gave; `shown` is how messages call the URL. */
export async function storedRemote(session: Session, url: string, source: string, shown = redactUrl(url)): Promise<NamedImage | null> {
  const remote = session.ports.store.remote(url, {unvouched: !session.verifies})
  if (remote === null) return null
  session.say(`using image from local store for url ${shown}`)
  return await useStored(session, {key: remote.key, source})
}

/** What the last download of a URL gave, for who asks its server again; null where it must be sent anew, or was never. */
export async function soundRemote(session: Session, url: string, shown = url): Promise<Remote | null> {
  const {store} = session.ports
  const remote = store.remote(url, {unvouched: !session.verifies})
  if (remote === null || (await store.isSound(remote.key))) return remote
  session.note(`warning: the image of ${shown} is damaged in the store, fetching it again`)
  return null
}

/** Without verification root takes what a member of the group imported, which is its word from now on. */
export async function useStored({ports, verifies}: Session, image: NamedImage): Promise<NamedImage> {
  if (!verifies) await ports.store.vouch(image.key, image.source)
  ports.store.touch(image.key)
  return image
}

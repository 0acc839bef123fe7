import {redactUrl} from '../http/index.ts'
import type {ImageKey} from '../store/index.ts'
import type {Session} from './session.ts'

/** The image that the last download of a URL gave; `shown` is how messages call the URL. */
export async function storedRemote(session: Session, url: string, shown = redactUrl(url)): Promise<ImageKey | null> {
  const remote = session.ports.store.remote(url, {unvouched: !session.verifies})
  if (remote === null) return null
  session.say(`using image from local store for url ${shown}`)
  return await useStored(session, remote.key)
}

/** Without verification root takes what a member of the group imported, which is its word from now on. */
export async function useStored({ports, verifies}: Session, key: ImageKey): Promise<ImageKey> {
  if (!verifies) await ports.store.vouch(key)
  ports.store.touch(key)
  return key
}

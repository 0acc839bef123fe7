import {formatImageString, type Label} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import type {ImageKey, NamedImage} from '../store/index.ts'
import {renderList} from '../treestore/index.ts'
import {type NameReference, nameReference} from './reference.ts'
import type {Session} from './session.ts'
import {findName, storedName} from './transports/name.ts'

/**
 * Finds all that an image depends on, by name, breadth first: its dependencies in the order of its manifest, behind them theirs. What
 * was found once is not looked for again. An image that depends on itself is an error.
 */
export async function findDependencies(session: Session, top: ImageKey): Promise<void> {
  const {store} = session.ports
  const seen = new Set<string>()
  const queue = [top]
  const nested = session.forDependencies()
  for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
    for (const {imageName, labels = []} of store.manifest(key).dependencies ?? []) {
      const reference = nameReference(imageName, labels, formatImageString({labels, name: imageName}))
      const identity = JSON.stringify([imageName, reference.labels.map(pair).sort()])
      if (seen.has(identity)) continue
      seen.add(identity)
      queue.push((await findDependency(nested, reference)).key)
    }
  }
  if (seen.size > 0) renderList(store, top)
}

/** Where nobody says that there is a newer one, the stored image serves, also with the policy update: bases may be local. */
async function findDependency(session: Session, reference: NameReference): Promise<NamedImage> {
  try {
    return await findName(session, reference)
  } catch (error) {
    const stored = error instanceof RktError && error.code === 'RKT_DISCOVERY_FAILED' ? storedName(session, reference) : null
    if (stored === null) throw error
    session.note(`warning: discovery failed for ${JSON.stringify(reference.text)}, using the image from the local store`)
    return stored
  }
}

const pair = ({name, value}: Label): string => `${name}=${value}`

import {causeChain, type Engine, type ImageKey, imagesInUse, type NamedImage, RktError} from '@rkt/engine'
import {nameOf, namesOf} from './list-images.ts'

export interface RemovalReport {
  /** On stdout. */
  print(line: string): void
  /** On stderr. */
  note(line: string): void
}

type RemovalEngine = Pick<Engine, 'pods' | 'store' | 'treestore'>

/**
 * Removes each image, unless a running pod uses it; one that cannot be removed holds up no other. What was asked for by one of several
 * names loses that name alone.
 */
export async function removeImages(engine: RemovalEngine, images: readonly NamedImage[], report: RemovalReport): Promise<void> {
  const {note, print} = report
  const {store} = engine
  const inUse = imagesInUse(engine)
  let [removed, stale, failed] = [0, 0, 0]
  const done = new Set<ImageKey>()
  for (const image of images) {
    const {key} = image
    if (done.has(key)) continue
    const name = shownName(store, key)
    try {
      if (await removeOneName(store, image, report)) continue
      done.add(key)
      refuseInUse(inUse.get(key))
      await store.remove(key)
      print(`successfully removed aci for image: "${key}"`)
      removed += 1
    } catch (error) {
      if (error instanceof RktError && error.code === 'RKT_IMAGE_FILES_LEFT') {
        note(`some files cannot be removed for image "${key}" ("${name}")`)
        stale += 1
      } else {
        note(`error removing aci for image "${key}" ("${name}"): ${causeChain(error).at(-1)}`)
        failed += 1
      }
    }
  }
  await store.sweep()
  if (removed > 0) note(`${removed} image(s) successfully removed`)
  if (stale > 0) note(`${stale} image(s) removed but left some stale files`)
  if (failed > 0) note(`${failed} image(s) cannot be removed`)
  if (stale + failed > 0) throw new RktError('RKT_IMAGE_REMOVE', 'error(s) found while removing images')
}

/** Whether the image stays, by its other names. */
async function removeOneName(store: Engine['store'], {key, source}: NamedImage, {note, print}: RemovalReport): Promise<boolean> {
  if (source === undefined) return false
  const asked = store.info(key).names.find((name) => name.source === source)
  // given twice, or somebody else removed it
  if (asked === undefined) return true
  if (!(await store.removeName(key, asked))) return false
  print(`successfully removed name "${nameOf(asked)}" of image: "${key}"`)
  note(`image "${key}" stays: it is ${namesOf(store.info(key)).join(', ')} too`)
  return true
}

function refuseInUse(pods: readonly string[] | undefined): void {
  if (pods === undefined) return
  const [who, what] = pods.length > 1 ? ['running pods', 'use it: stop them'] : ['running pod', 'uses it: stop it']
  throw new RktError('RKT_IMAGE_IN_USE', `${who} ${pods.join(', ')} ${what} first, with "rkt stop ${pods.join(' ')}"`)
}

function shownName(store: Engine['store'], key: ImageKey): string {
  try {
    return nameOf(store.info(key))
  } catch {
    // a record that cannot be read is no reason to keep the image
    return ''
  }
}

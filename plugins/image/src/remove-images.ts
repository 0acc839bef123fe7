import {causeChain, type Engine, type ImageKey, RktError} from '@rkt/engine'

export interface RemovalReport {
  /** On stdout. */
  print(line: string): void
  /** On stderr. */
  note(line: string): void
}

/** Removes each image with its tree, unless a pod may still use that; one that cannot be removed holds up no other. */
export async function removeImages({store}: Pick<Engine, 'store'>, keys: readonly ImageKey[], {note, print}: RemovalReport): Promise<void> {
  let [removed, stale, failed] = [0, 0, 0]
  for (const key of new Set(keys)) {
    const name = nameOf(store, key)
    try {
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

function nameOf(store: Engine['store'], key: ImageKey): string {
  try {
    return store.info(key).name
  } catch {
    // a record that cannot be read is no reason to keep the image
    return ''
  }
}

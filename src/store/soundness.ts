/** Whether an image of the store is what its ID says, and what the next import does about one that is not. */

import {RktError} from '../errors.ts'
import {changeRecord} from './change-record.ts'
import type {ImageKey} from './image-key.ts'
import {currentStamps, damageHint, discardContent, findDamage} from './integrity.ts'
import type {Layout} from './layout.ts'
import {readSidecarIfSound, type Sidecar} from './sidecar.ts'

/**
 * Whether the image is what its ID says. What was written to since it was hashed is hashed again; damaged content of an OCI image is
 * taken away, so that the next import brings it.
 */
export async function isSound(layout: Layout, key: ImageKey): Promise<boolean> {
  const sidecar = readSidecarIfSound(layout, key)
  if (sidecar === null) return false
  const stamps = currentStamps(layout, sidecar)
  const damaged = await findDamage(layout, sidecar, {changed: true})
  await discardContent(layout, damaged)
  if (damaged.length > 0) return false
  // what was hashed now need not be hashed the next time
  const isKnown = Object.entries(stamps).every(([name, stamp]) => sidecar.stamps?.[name] === stamp)
  if (!isKnown) await changeRecord(layout, key, (record) => ({...record, stamps}))
  return true
}

/** What to throw at who asked for an image that is not what its ID says, all of which is hashed for it; null for one that is. */
export async function damageOf(layout: Layout, sidecar: Sidecar): Promise<RktError | null> {
  const [damaged] = await findDamage(layout, sidecar, {changed: false})
  if (damaged === undefined) return null
  return new RktError('RKT_IMAGE_HASH_MISMATCH', `image ${sidecar.id} is damaged: ${damaged.path} is not what its hash says`, {
    hint: damageHint,
  })
}

/** After a failure that says so: the next fetch hashes what is stored, and replaces what is damaged. */
export async function distrust(layout: Layout, key: ImageKey): Promise<void> {
  await changeRecord(layout, key, ({stamps: _, ...sidecar}) => sidecar)
}

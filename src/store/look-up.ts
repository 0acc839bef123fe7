import {dirname} from 'node:path'
import {type Label, labelValue} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {namesIn} from './files.ts'
import {type ImageKey, isImageKey, keyPrefix, looksLikeDigest} from './image-key.ts'
import type {Layout} from './layout.ts'
import {keysOfDigest} from './oci-digests.ts'
import {readSidecar, type Sidecar} from './sidecar.ts'
import {needsVouchers, readVoucher} from './vouchers.ts'

/** The one image whose key or OCI digest begins with `text` (`sha512-` or `sha256:`, and at least two digits). */
export function resolveKey(layout: Layout, text: string): ImageKey {
  const found = candidates(layout, text)
  const [only] = found
  if (only === undefined) {
    throw new RktError('RKT_IMAGE_NOT_FOUND', 'no image IDs found')
  }
  if (found.length > 1) {
    throw new RktError('RKT_IMAGE_ID_AMBIGUOUS', `ambiguous image ID: ${JSON.stringify(text)}`, {
      hint: `Give more digits: ${found.length} images begin so.`,
    })
  }
  return only
}

function candidates(layout: Layout, text: string): ImageKey[] {
  if (looksLikeDigest(text)) return keysOfDigest(layout, text).filter((key) => readSidecar(layout, key) !== null)
  const prefix = keyPrefix(text)
  return prefix === null ? [] : keysWithPrefix(layout, prefix)
}

function keysWithPrefix(layout: Layout, prefix: string): ImageKey[] {
  if (isImageKey(prefix)) return readSidecar(layout, prefix) === null ? [] : [prefix]
  // Any key with these two digits names the directory that holds all of them.
  const directory = dirname(layout.manifestOf(`${prefix.slice(0, 9)}` as ImageKey))
  const keys = namesIn(directory).filter((name) => name.startsWith(prefix))
  return keys.filter(isImageKey).filter((key) => readSidecar(layout, key) !== null)
}

/**
 * The image of that name that carries every label; see `preferred` for which of several. Where others than root write the store,
 * root goes by its own word on an image, or by theirs if `unvouched`.
 */
export function findByName(layout: Layout, name: string, labels: readonly Label[], {unvouched = false} = {}): ImageKey {
  const ownWord = !unvouched && needsVouchers(layout)
  const matching = namesIn(layout.nameDirOf(name))
    .filter(isImageKey)
    .map((key) => withOwnWord(layout, readSidecar(layout, key), ownWord))
    .filter((sidecar) => sidecar !== null)
    .filter((sidecar) => sidecar.name === name && labels.every((label) => labelValue(sidecar.labels, label.name) === label.value))
  const best = preferred(matching, labelValue(labels, 'version') === undefined)
  if (best !== undefined) return best.id
  const wanted = labels.map((label) => JSON.stringify(`${label.name}:${label.value}`)).join(' ')
  throw new RktError(
    'RKT_IMAGE_NOT_FOUND',
    `cannot find aci satisfying name: ${JSON.stringify(name)} and labels: [${wanted}] in the local store`,
  )
}

function withOwnWord(layout: Layout, sidecar: Sidecar | null, ownWord: boolean): Sidecar | null {
  if (sidecar === null || !ownWord) return sidecar
  const voucher = readVoucher(layout, sidecar.id)
  return voucher === null ? null : {...sidecar, ...voucher}
}

/** Without a requested version an image that was fetched as the latest wins; among equals the newest import. */
function preferred(sidecars: readonly Sidecar[], preferLatest: boolean): Sidecar | undefined {
  const rank = (sidecar: Sidecar) => (preferLatest && sidecar.latest ? 1 : 0)
  return sidecars.toSorted((a, b) => rank(b) - rank(a) || b.importTime.getTime() - a.importTime.getTime() || (a.id < b.id ? -1 : 1))[0]
}

import {dirname} from 'node:path'
import {type Label, labelValue} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {namesIn} from './files.ts'
import {type ImageKey, isImageKey, keyPrefix, looksLikeDigest} from './image-key.ts'
import type {Layout} from './layout.ts'
import type {StoredName} from './names.ts'
import {keysOfDigest} from './oci-digests.ts'
import {readSidecar} from './sidecar.ts'
import {needsVouchers, readVoucher} from './vouchers.ts'

const whatThereIs = 'Run "rkt image list" to see the images of the store; "rkt fetch" adds others.'

/** The one image whose key or OCI digest begins with `text` (`sha512-` or `sha256:`, and at least two digits). */
export function resolveKey(layout: Layout, text: string): ImageKey {
  const found = candidates(layout, text)
  const [only] = found
  if (only === undefined) {
    throw new RktError('RKT_IMAGE_NOT_FOUND', 'no image IDs found', {hint: whatThereIs})
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

/** An image, and by which of its sources it was found. */
export interface NamedImage {
  readonly key: ImageKey
  /** Undefined where nobody said a name: the newest counts. */
  readonly source?: string | undefined
}

/**
 * The image of that name that carries every label; see `preferred` for which of several. Where others than root write the store,
 * root goes by its own word on an image, or by theirs if `unvouched`.
 */
export function findByName(layout: Layout, name: string, labels: readonly Label[], {unvouched = false} = {}): NamedImage {
  const ownWord = !unvouched && needsVouchers(layout)
  const matching = namesIn(layout.nameDirOf(name))
    .filter(isImageKey)
    .flatMap((key) => namesOf(layout, key, ownWord).map((each) => ({...each, key})))
    .filter((each) => each.name === name && labels.every((label) => labelValue(each.labels, label.name) === label.value))
  const best = preferred(matching, labelValue(labels, 'version') === undefined)
  if (best !== undefined) return {key: best.key, source: best.source}
  const wanted = labels.map((label) => JSON.stringify(`${label.name}:${label.value}`)).join(' ')
  throw new RktError(
    'RKT_IMAGE_NOT_FOUND',
    `cannot find aci satisfying name: ${JSON.stringify(name)} and labels: [${wanted}] in the local store`,
    {hint: whatThereIs},
  )
}

/** What a stored image is called: by its record, or by root's own word. */
function namesOf(layout: Layout, key: ImageKey, ownWord: boolean): readonly StoredName[] {
  const names = readSidecar(layout, key)?.names ?? []
  return ownWord && names.length > 0 ? readVoucher(layout, key) : names
}

type Candidate = StoredName & {readonly key: ImageKey}

/** Without a requested version an image that was fetched as the latest wins; among equals the newest import. */
function preferred(candidates: readonly Candidate[], preferLatest: boolean): Candidate | undefined {
  const rank = ({latest}: Candidate) => (preferLatest && latest ? 1 : 0)
  return candidates.toSorted(
    (a, b) => rank(b) - rank(a) || b.importTime.getTime() - a.importTime.getTime() || (a.key < b.key ? -1 : Number(a.key > b.key)),
  )[0]
}

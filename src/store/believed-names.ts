import type {ImageIdentity} from '../oci/index.ts'
import type {ImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {isSameName, nameOfSource, type StoredName, type StoredNames} from './names.ts'
import {needsVouchers, readVoucher} from './vouchers.ts'

/** What a caller may take an image to be called: root's own word comes first for root, and stays whatever others write. */
export function believedNames(layout: Layout, key: ImageKey, stated: StoredNames): StoredNames {
  if (!needsVouchers(layout)) return stated
  const [first, ...rest] = readVoucher(layout, key)
  if (first === undefined) return stated
  const own: StoredNames = [first, ...rest]
  return [...own, ...stated.filter((name) => !own.some((known) => known.source === name.source && isSameName(known, name)))]
}

/** The newest name, and all of them. */
export function newestOf(names: StoredNames): Omit<StoredName, 'identity'> & {readonly names: StoredNames} {
  const [{importTime, labels, latest, name, source}] = names
  return {importTime, labels, latest, name, names, source}
}

/** Where an image of OCI's format comes from, by that source, else by the newest; undefined for an archive. */
export function identityOf(layout: Layout, key: ImageKey, stated: StoredNames, source: string | undefined): ImageIdentity | undefined {
  // root's own word of before 2.0.0 has no identity: the record's name of that kind serves
  return nameOfSource(believedNames(layout, key, stated), source).identity ?? nameOfSource(stated, source).identity
}

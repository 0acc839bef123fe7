/** Reads of an image that hash what they read: for who must not believe what others can write into the store. */

import {createHash} from 'node:crypto'
import {closeSync, openSync} from 'node:fs'
import {RktError} from '../errors.ts'
import {native, systemError, unwrap} from '../native/index.ts'
import type {ImageIdentity} from '../oci/index.ts'
import {readContent} from './contents.ts'
import {type ImageKey, keyOfDigest} from './image-key.ts'
import {damageHint} from './integrity.ts'
import type {Layout} from './layout.ts'
import {type OciDocuments, type OciRecord, readDocuments} from './oci-image.ts'

const mismatch = (message: string) => new RktError('RKT_IMAGE_HASH_MISMATCH', message)
const wrongKey = (found: ImageKey, key: ImageKey) => mismatch(`image hash does not match expected (${found} != ${key})`)

/** The documents of an OCI image: the manifest is hashed against the image's key, the config and with it the DiffIDs against the manifest. */
export function verifiedDocuments(layout: Layout, key: ImageKey, record: OciRecord, identity: ImageIdentity): OciDocuments {
  const manifestBytes = readContent(layout, record.manifest)
  const found = keyOfDigest(createHash('sha512').update(manifestBytes).digest('hex'))
  if (found !== key) throw wrongKey(found, key)
  const documents = readDocuments(manifestBytes, record.mediaType, readContent(layout, record.config), identity, `image ${key}`)
  const {digest} = documents.manifest.config
  if (digest !== record.config) throw mismatch(`image ${key} has the config ${digest}, not ${record.config}`)
  return documents
}

/** The manifest out of an archive, all of which is hashed for it. Its image has to be locked. */
export async function verifiedArchiveManifest(layout: Layout, key: ImageKey): Promise<Buffer> {
  const fd = openBlob(layout.blobOf(key))
  try {
    const ingested = unwrap(await native().ingestAci(fd, layout.tmp))
    closeSync(ingested.fd)
    const found = keyOfDigest(ingested.sha512)
    if (found === key) return ingested.manifest
    throw wrongKey(found, key)
  } finally {
    closeSync(fd)
  }
}

function openBlob(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw new RktError('RKT_STORE_DAMAGED', 'cannot open the image', {cause: systemError('open', path, error), hint: damageHint})
  }
}

import {createHash} from 'node:crypto'
import {closeSync, fstatSync, openSync} from 'node:fs'
import type {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import type {Pack} from 'tar-stream'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import type {Digest} from '../oci/index.ts'
import type {NamedImage, Store} from '../store/index.ts'
import {descriptorSink, readDescriptor} from './descriptor-streams.ts'

/**
 * Writes an image of OCI's or Docker's format as an OCI image layout in a tar: manifest, config and layers byte for byte as they came,
 * each verified while it is copied. The same image gives the same bytes. An index that it was chosen from names images that the store
 * does not have, and is left out.
 */
export async function writeLayoutTar(store: Store, {key, source}: NamedImage): Promise<(fd: number) => Promise<void>> {
  const record = store.oci(key)
  if (record === null) {
    throw new RktError('RKT_IMAGE_KIND', `image ${key} is an archive of appc, which has no layers of OCI's format`, {
      hint: 'Export it without --oci.',
    })
  }
  const {pack: openPack} = await import('tar-stream')
  const {host, repository, tag} = store.identity(key, source)
  const layers = new Map(record.layers.map(({digest}) => [digest, digest]))
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: record.mediaType,
        digest: record.manifest,
        size: sizeOf(store, record.manifest),
        ...(tag !== null && {
          annotations: {
            'io.containerd.image.name': `${host.replace(/^registry-1\.(?=docker\.io$)/, '')}/${repository}:${tag}`,
            'org.opencontainers.image.ref.name': tag,
          },
        }),
      },
    ],
  }
  return async (fd) => {
    const pack = openPack()
    const written = pipeline(pack as unknown as Readable, descriptorSink(fd))
    const fill = async () => {
      try {
        await addFile(pack, 'oci-layout', Buffer.from(JSON.stringify({imageLayoutVersion: '1.0.0'})))
        await addFile(pack, 'index.json', Buffer.from(JSON.stringify(index)))
        for (const digest of [record.manifest, record.config, ...layers.keys()]) await addBlob(pack, store, digest)
        pack.finalize()
      } catch (error) {
        pack.destroy(error instanceof Error ? error : new Error(String(error)))
        throw error
      }
    }
    await Promise.all([fill(), written])
  }
}

const attributes = {gid: 0, mode: 0o644, mtime: new Date(0), uid: 0} as const

function addFile(pack: Pack, name: string, content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    pack.entry({...attributes, name}, content, (error) => (error ? reject(error) : resolve()))
  })
}

async function addBlob(pack: Pack, store: Store, digest: Digest): Promise<void> {
  const fd = openContent(store, digest)
  try {
    const hash = createHash(digest.startsWith('sha512:') ? 'sha512' : 'sha256')
    const {size} = fstatSync(fd)
    const entry = pack.entry({...attributes, name: `blobs/${digest.replace(':', '/')}`, size})
    const hashed = async function* () {
      for await (const chunk of readDescriptor(fd, size)) {
        hash.update(chunk)
        yield chunk
      }
    }
    await pipeline(hashed, entry as unknown as NodeJS.WritableStream)
    const found = `${digest.slice(0, digest.indexOf(':'))}:${hash.digest('hex')}`
    if (found !== digest)
      throw new RktError('RKT_IMAGE_HASH_MISMATCH', `content of the store does not match its digest (${found} != ${digest})`)
  } finally {
    closeSync(fd)
  }
}

function sizeOf(store: Store, digest: Digest): number {
  const fd = openContent(store, digest)
  try {
    return fstatSync(fd).size
  } finally {
    closeSync(fd)
  }
}

function openContent(store: Store, digest: Digest): number {
  const path = store.contentPath(digest)
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw new RktError('RKT_STORE_DAMAGED', `content ${digest} of the store cannot be read`, {cause: systemError('open', path, error)})
  }
}

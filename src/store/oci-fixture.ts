/** What the tests of OCI images have in common: layers, documents and imports made by hand. Not part of the program. */
import {closeSync, openSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {buffer} from 'node:stream/consumers'
import {gzipSync} from 'node:zlib'
import {type Header, pack} from 'tar-stream'
import {type Digest, digestOf, type ImageIdentity} from '../oci/index.ts'
import type {ImageKey, OciImportRequest, Store} from './index.ts'

/** An entry of a layer: a text is a file, null a directory, the rest as tar-stream has it. */
export type LayerEntries = Readonly<Record<string, string | null | Partial<Header>>>

export async function aLayer(entries: LayerEntries): Promise<Buffer> {
  const tar = pack()
  for (const [name, entry] of Object.entries(entries)) {
    const common = {gid: 0, mtime: new Date(1_000_000_000_000), name, uid: 0}
    if (typeof entry === 'string') tar.entry({...common, mode: 0o644}, entry)
    else if (entry === null) tar.entry({...common, mode: 0o755, type: 'directory'})
    else tar.entry({...common, ...entry})
  }
  tar.finalize()
  return await buffer(tar as unknown as Readable)
}

export interface PackedLayer {
  readonly bytes: Buffer
  readonly digest: Digest
  readonly diffId: Digest
}

export function packed(tar: Buffer): PackedLayer {
  const bytes = gzipSync(tar, {level: 1})
  return {bytes, diffId: digestOf(tar), digest: digestOf(bytes)}
}

/** The documents of an image of these layers, base first. */
export function documentsOf(
  layers: readonly PackedLayer[],
  process: object = {Cmd: ['/bin/sh'], Env: ['A=1']},
  name = 'app',
): Omit<OciImportRequest, 'latest' | 'source'> {
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      config: process,
      os: 'linux',
      rootfs: {diff_ids: layers.map((layer) => layer.diffId), type: 'layers'},
    }),
  )
  const manifestBytes = Buffer.from(
    JSON.stringify({
      config: {digest: digestOf(configBytes), mediaType: 'application/vnd.oci.image.config.v1+json', size: configBytes.length},
      layers: layers.map(({bytes, digest}) => ({digest, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', size: bytes.length})),
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      schemaVersion: 2,
    }),
  )
  const identity: ImageIdentity = {
    host: 'registry.example.com',
    manifestDigest: digestOf(manifestBytes),
    repository: name,
    tag: 'v1',
    typed: `registry.example.com/${name}:v1`,
  }
  return {configBytes, identity, manifestBytes, mediaType: null}
}

/** Imports an image as a transport does: its layers pushed, all at once, then its documents. */
export async function importImage(
  store: Store,
  layers: readonly PackedLayer[],
  documents: Omit<OciImportRequest, 'latest' | 'source'> = documentsOf(layers),
  {source = 'cimd:docker:v=0:registry.example.com/app:v1'}: {readonly source?: string} = {},
): Promise<ImageKey> {
  await using session = await store.importOci()
  await Promise.all(
    layers.map(async ({bytes, diffId, digest}) => {
      const writer = await session.layer({digest, size: bytes.length}, diffId)
      if (writer === null) return
      for (let at = 0; at < bytes.length; at += 1000) await writer.write(bytes.subarray(at, at + 1000))
      await writer.finish()
    }),
  )
  return await session.commit({...documents, latest: false, source})
}

/** Calls `action` with a descriptor of a file of these bytes. */
export async function withFile<T>(dir: string, bytes: Buffer, action: (fd: number) => Promise<T>): Promise<T> {
  const path = join(dir, 'layer')
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  try {
    return await action(fd)
  } finally {
    closeSync(fd)
  }
}

/** Archives that no builder of ours would make: entries as a hostile author writes them, byte by byte where needed. */
import {buffer} from 'node:stream/consumers'
import {type Header, pack} from 'tar-stream'
import {manifest} from './images.ts'

export type TarEntry = Partial<Header> & {readonly name: string; readonly content?: string | Buffer}

/** The entries as a tar, in their order, nothing added. */
export async function tarBytes(entries: readonly TarEntry[]): Promise<Buffer> {
  const archive = pack()
  for (const {content, ...header} of entries) archive.entry(header, content ?? '')
  archive.finalize()
  return await buffer(archive)
}

/** An otherwise good ACI with hostile entries behind its manifest and rootfs. */
export async function hostileArchive(entries: readonly TarEntry[], name = 'example.com/hostile'): Promise<Buffer> {
  return await tarBytes([
    {content: manifest({app: {exec: ['/bin/true']}, name}), name: 'manifest'},
    {mode: 0o755, name: 'rootfs', type: 'directory'},
    ...entries,
  ])
}

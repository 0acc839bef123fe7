/** What the tests of this room have in common: a store in a directory of its own, and archives. Not part of the program. */
import {closeSync, mkdtempSync, openSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {buffer} from 'node:stream/consumers'
import {pack} from 'tar-stream'
import {type ImageKey, openStore, type Store} from './index.ts'

export interface TestStore extends Disposable {
  readonly dir: string
  readonly cas: string
  readonly store: Store
  import(archive: Buffer, latest?: boolean): Promise<ImageKey>
}

/** A store in a directory that is gone when the test ends. */
export function aStore(): TestStore {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-store-'))
  const cas = join(dir, 'cas')
  const store = openStore(cas)
  return {
    cas,
    dir,
    async import(archive, latest = false) {
      const path = join(dir, 'archive.aci')
      writeFileSync(path, archive)
      const fd = openSync(path, 'r')
      try {
        return await store.importAci(fd, {latest, source: path})
      } finally {
        closeSync(fd)
      }
    },
    store,
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      rmSync(dir, {force: true, recursive: true})
    },
  }
}

export interface ManifestParts {
  readonly name?: string
  readonly version?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

export function aManifest({name = 'example.com/app', version, labels = {}, ...rest}: ManifestParts = {}): string {
  const all = {...(version === undefined ? {} : {version}), ...labels}
  const list = Object.entries(all).map(([label, value]) => ({name: label, value}))
  return JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', labels: list, name, ...rest})
}

/** An archive of a manifest and files below rootfs. */
export async function anArchive(manifest: string | null, files: Readonly<Record<string, string>> = {}): Promise<Buffer> {
  const tar = pack()
  if (manifest !== null) tar.entry({mtime: new Date(0), name: 'manifest'}, manifest)
  tar.entry({mtime: new Date(0), name: 'rootfs', type: 'directory'})
  for (const [name, content] of Object.entries(files)) tar.entry({mtime: new Date(0), name: `rootfs/${name}`}, content)
  tar.finalize()
  return await buffer(tar as unknown as Readable)
}

/**
 * The SQLite index over the sidecars. It holds nothing of its own: when it is missing, damaged, or older than the files it is built
 * again from them. Every access happens under an exclusive lock on `cas/db`; the file is replaced, never changed in place.
 */
import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import type {Database, SqlJsStatic} from 'sql.js'
import {FileLock} from '../native/index.ts'
import {ensureDirectory, errnoOf, isReadOnlyFailure, namesIn, replaceFile} from './files.ts'
import {generationOf} from './generation.ts'
import {type ImageKey, isImageKey} from './image-key.ts'
import type {Layout} from './layout.ts'
import {LOCK_TIMEOUT_MS} from './locks.ts'
import {decodeNames, encodeName, type StoredNames} from './names.ts'
import {allRemotes} from './remote.ts'
import {readSidecar, readTreeSize} from './sidecar.ts'

/** Of our schema; rkt 1.x counted to 7 in another file. */
const VERSION = 9

const SCHEMA = `
  CREATE TABLE version (version INTEGER NOT NULL);
  CREATE TABLE generation (generation TEXT NOT NULL);
  CREATE TABLE remote (aciurl TEXT NOT NULL, sigurl TEXT NOT NULL, etag TEXT NOT NULL, blobkey TEXT NOT NULL,
    cachemaxage INTEGER NOT NULL, downloadtime TEXT NOT NULL);
  CREATE UNIQUE INDEX aciurlidx ON remote (aciurl);
  CREATE TABLE aciinfo (blobkey TEXT NOT NULL, name TEXT NOT NULL, importtime TEXT NOT NULL, lastused TEXT NOT NULL,
    latest INTEGER NOT NULL, size INTEGER NOT NULL DEFAULT 0, treestoresize INTEGER NOT NULL DEFAULT 0, names TEXT NOT NULL);
  CREATE UNIQUE INDEX blobkeyidx ON aciinfo (blobkey);
  CREATE INDEX nameidx ON aciinfo (name);
`

/** A row of `aciinfo` as the index has it. */
export interface IndexedImage {
  readonly key: ImageKey
  readonly names: StoredNames
  readonly size: number
  readonly treeSize: number
}

/** All images by import time, out of the index, which is brought up to date first if it can be written. */
export async function indexedImages(layout: Layout): Promise<IndexedImage[]> {
  const sql = await loadSql()
  using _lock = await lockIndex(layout)
  const generation = generationOf(layout)
  using index = openCurrent(sql, layout, generation) ?? rebuild(sql, layout, generation)
  return query(index.database)
}

/** The lock, or null for a caller who may not write: he reads what is there, which is whole because it was renamed into place. */
async function lockIndex(layout: Layout): Promise<FileLock | null> {
  try {
    ensureDirectory(layout.db)
    return await FileLock.acquire(layout.db, 'exclusive', {timeoutMs: LOCK_TIMEOUT_MS})
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    if (isReadOnlyFailure(cause)) return null
    throw error
  }
}

class OpenIndex implements Disposable {
  readonly database: Database

  constructor(database: Database) {
    this.database = database
  }

  [Symbol.dispose](): void {
    this.database.close()
  }
}

/** The index on the disk, if it can be read and reflects this generation. */
function openCurrent(sql: SqlJsStatic, layout: Layout, generation: string): OpenIndex | null {
  let bytes: Buffer
  try {
    bytes = readFileSync(layout.index)
  } catch {
    // missing, or not for our eyes
    return null
  }
  let database: Database | undefined
  try {
    database = new sql.Database(bytes)
    const at = database.exec('SELECT (SELECT version FROM version), (SELECT generation FROM generation), (SELECT count(*) FROM aciinfo)')
    const [version, recorded] = at[0]?.values[0] ?? []
    const [check] = database.exec('PRAGMA quick_check')[0]?.values[0] ?? []
    if (version === VERSION && recorded === generation && check === 'ok') return new OpenIndex(database)
  } catch {
    // damaged: the files have it all
  }
  database?.close()
  return null
}

function rebuild(sql: SqlJsStatic, layout: Layout, generation: string): OpenIndex {
  const database = new sql.Database()
  const index = new OpenIndex(database)
  database.exec(SCHEMA)
  database.exec('BEGIN')
  database.run('INSERT INTO version VALUES (?)', [VERSION])
  database.run('INSERT INTO generation VALUES (?)', [generation])
  for (const file of namesIn(layout.image)) addImage(database, layout, file)
  for (const {downloadTime, etag, key, maxAge, signatureUrl, url} of allRemotes(layout)) {
    database.run('INSERT OR REPLACE INTO remote VALUES (?, ?, ?, ?, ?, ?)', [
      url,
      signatureUrl,
      etag,
      key,
      maxAge,
      downloadTime.toISOString(),
    ])
  }
  database.exec('COMMIT')
  try {
    replaceFile(layout.index, database.export(), layout.tmp)
  } catch (error) {
    // The answer is right without the file; a full disk must not keep anybody from finding out what to remove.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    if (!isReadOnlyFailure(cause) && !['EDQUOT', 'ENOENT', 'ENOSPC'].includes(errnoOf(cause) ?? '')) throw error
  }
  return index
}

function addImage(database: Database, layout: Layout, file: string): void {
  const key = file.replace(/\.json$/, '')
  if (!isImageKey(key)) return
  const sidecar = readSidecar(layout, key)
  if (sidecar === null) return
  const {names, size} = sidecar
  const [{importTime, latest, name}] = names
  const at = importTime.toISOString()
  const all = JSON.stringify(names.map(encodeName))
  database.run('INSERT INTO aciinfo VALUES (?, ?, ?, ?, ?, ?, ?, ?)', [
    key,
    name,
    at,
    at,
    latest ? 1 : 0,
    size,
    readTreeSize(layout, key),
    all,
  ])
}

function query(database: Database): IndexedImage[] {
  const statement = database.prepare('SELECT blobkey, names, size, treestoresize FROM aciinfo ORDER BY importtime, blobkey')
  const images: IndexedImage[] = []
  try {
    while (statement.step()) {
      const row = statement.getAsObject()
      const key = String(row.blobkey)
      if (!isImageKey(key)) continue
      images.push({key, names: decodeNames(JSON.parse(String(row.names))), size: Number(row.size), treeSize: Number(row.treestoresize)})
    }
  } finally {
    statement.free()
  }
  return images
}

/** SQLite as WebAssembly; the file lies beside the bundle, or in its package when the sources run unbuilt. */
async function loadSql(): Promise<SqlJsStatic> {
  const {default: initialise} = await import('sql.js')
  return await initialise({wasmBinary: readWasm()})
}

function readWasm(): ArrayBuffer {
  let bytes: Buffer
  try {
    bytes = readFileSync(new URL('./sql-wasm.wasm', import.meta.url))
  } catch {
    bytes = readFileSync(createRequire(import.meta.url).resolve('sql.js/dist/sql-wasm.wasm'))
  }
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
}

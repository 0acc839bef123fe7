/**
 * Measures the import of a large layer beside what others do with the same bytes: `node test/bench/layers.ts [MIB [DIRECTORY]]`.
 *
 * A layer of MIB mebibytes (1090) in about 40,000 files, gzip, is made below DIRECTORY (/dev/shm, a tmpfs). `rkt` takes it in: both
 * digests, the blob, the tree. `tar -xzf` only unpacks it.
 */
import {execFileSync, spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {
  closeSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {createGzip} from 'node:zlib'
import {pack} from 'tar-stream'
import {parseDigest} from '../../src/oci/index.ts'
import {openStore} from '../../src/store/index.ts'
import {peakOf} from './peak.ts'

const [mode, ...rest] = process.argv.slice(2)
if (mode === '--pushed' || mode === '--read') await take(mode, rest)
else await bench(Number(mode ?? 1090), rest[0] ?? '/dev/shm')

async function bench(mib: number, place: string): Promise<void> {
  const directory = mkdtempSync(join(place, 'rkt-layers-'))
  try {
    const layer = join(directory, 'layer.tar.gz')
    await makeLayer(layer, mib)
    const tar = join(directory, 'layer.tar')
    execFileSync('sh', ['-c', `gzip -dc ${layer} > ${tar}`])
    const digests = [layer, tar].map((path) => `sha256:${execFileSync('sha256sum', [path], {encoding: 'utf8'}).slice(0, 64)}`)
    rmSync(tar)
    writeFileSync(`${layer}.json`, JSON.stringify(digests))
    console.log(`a layer of ${mib} MiB, ${(statSync(layer).size / 2 ** 20).toFixed(0)} MiB as gzip`)
    for (const how of ['--read', '--pushed']) {
      const cas = join(directory, 'cas')
      const {elapsedMs, peakBytes} = await peakOf([process.execPath, import.meta.filename, how, layer, cas])
      report(`taken in and rendered, ${how.slice(2)}`, elapsedMs, `peak memory ${(peakBytes / 2 ** 20).toFixed(0)} MiB`)
      rmSync(cas, {force: true, recursive: true})
    }
    const unpacked = join(directory, 'unpacked')
    mkdirSync(unpacked)
    const start = performance.now()
    spawnSync('tar', ['-C', unpacked, '-xzf', layer])
    report('tar -xzf', performance.now() - start, '')
  } finally {
    rmSync(directory, {force: true, recursive: true})
  }
}

function report(what: string, ms: number, more: string): void {
  console.log(`${what.padEnd(34)} ${(ms / 1000).toFixed(2).padStart(7)} s  ${more}`)
}

async function take(how: string, [layer = '', cas = '']: readonly string[]): Promise<void> {
  const [digest, diffId] = (JSON.parse(readFileSync(`${layer}.json`, 'utf8')) as string[]).map(parseDigest)
  if (digest === undefined || diffId === undefined) throw new Error(`${layer} has no digests`)
  using store = openStore(cas)
  await using session = await store.importOci()
  const descriptor = {digest, size: statSync(layer).size}
  if (how === '--read') {
    const fd = openSync(layer, 'r')
    await session.layerFrom(fd, descriptor, diffId)
    closeSync(fd)
    return
  }
  const writer = await session.layer(descriptor, diffId)
  for await (const piece of createReadStream(layer, {highWaterMark: 64 << 10})) await writer?.write(piece as Buffer)
  await writer?.finish()
}

/** A third of each file does not compress, as in images. */
async function makeLayer(path: string, mib: number): Promise<void> {
  const tar = pack()
  const written = pipeline(tar as unknown as Readable, createGzip({level: 1}), createWriteStream(path))
  const text = readFileSync(import.meta.filename)
  const files = 39_800
  const size = Math.floor((mib * 2 ** 20) / files)
  for (let at = 0; at < files; at++) {
    if (at % 100 === 0) await entry({mode: 0o755, name: `dir${at / 100}`, type: 'directory' as const})
    const content = Buffer.concat([randomBytes(Math.floor(size * 0.35)), Buffer.alloc(Math.floor(size * 0.65), text)])
    await entry({gid: 0, mode: 0o644, name: `dir${Math.floor(at / 100)}/file${at}`, uid: 0}, content)
  }
  tar.finalize()
  await written

  async function entry(header: Parameters<typeof tar.entry>[0], content?: Buffer): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve())
      if (content === undefined) tar.entry(header, done)
      else tar.entry(header, content, done)
    })
  }
}

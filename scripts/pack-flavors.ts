/**
 * Packs each folder of flavors/ into bin/stage1-NAME.aci, the same bytes for the same sources, and writes bin/flavors.json: where
 * each lies, what it is called, and its key, by which rkt finds it in a store without reading the file. flavors/README.md
 * describes a folder.
 */
import {createHash} from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {createGunzip} from 'node:zlib'
import {encodeImageManifest, hostLabels, labelValue, parseImageManifest} from '../src/appc/index.ts'
import {writeAci} from '../src/image/index.ts'
import {checkout} from './steps.ts'

interface Layout {
  readonly directories: readonly string[]
  readonly executable: string
  readonly hardLinks: readonly string[]
  readonly symlinks: Readonly<Record<string, string>>
}

const elf = Buffer.from('\x7fELF')
const {version}: {version: string} = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
const work = mkdtempSync(join(checkout, '.cache/flavors-'))
try {
  const flavors: Record<string, object> = {}
  for (const {name} of readdirSync(join(checkout, 'flavors'), {withFileTypes: true}).filter((entry) => entry.isDirectory())) {
    flavors[name] = await packFlavor(name)
  }
  const file = join(checkout, 'bin/flavors.json')
  writeFileSync(`${file}.new`, `${JSON.stringify(flavors, null, 2)}\n`)
  renameSync(`${file}.new`, file)
} finally {
  rmSync(work, {force: true, recursive: true})
}

async function packFlavor(name: string): Promise<object> {
  const folder = join(checkout, 'flavors', name)
  const manifest = manifestOf(join(folder, 'manifest'))
  const rootfs = join(work, name)
  fill(rootfs, folder)
  const file = `stage1-${name}.aci`
  const path = join(checkout, 'bin', file)
  await writeAci(path, {
    compress: true,
    manifest: encodeImageManifest(manifest),
    overwrite: true,
    ownerRoot: true,
    rootfs,
    timestamp: new Date(0),
  })
  return {file, key: await keyOf(path), name: manifest.name, version: labelValue(manifest.labels ?? [], 'version')}
}

/** The manifest as it is written, with this version and the architecture that was built for. */
function manifestOf(path: string): ReturnType<typeof parseImageManifest> {
  const manifest = parseImageManifest(readFileSync(path), path)
  const arch = labelValue(hostLabels(), 'arch') ?? ''
  const labels = (manifest.labels ?? []).map((label) => {
    if (label.name === 'version') return {...label, value: version}
    return label.name === 'arch' ? {...label, value: arch} : label
  })
  return {...manifest, labels}
}

function fill(rootfs: string, folder: string): void {
  const {directories, executable, hardLinks, symlinks}: Layout = JSON.parse(readFileSync(join(folder, 'layout.json'), 'utf8'))
  const at = (path: string): string => {
    mkdirSync(dirname(join(rootfs, path)), {recursive: true})
    return join(rootfs, path)
  }
  if (existsSync(join(folder, 'rootfs'))) cpSync(join(folder, 'rootfs'), rootfs, {recursive: true})
  for (const path of directories) mkdirSync(at(path), {recursive: true})
  copyFileSync(join(checkout, 'dist/stage1'), at(executable))
  chmodSync(at(executable), 0o755)
  for (const path of hardLinks) linkSync(at(executable), at(path))
  for (const [path, target] of Object.entries(symlinks)) symlinkSync(target, at(path))
  settleModes(rootfs)
}

/** A checkout's umask says nothing about an image. */
function settleModes(directory: string): void {
  chmodSync(directory, 0o755)
  for (const entry of readdirSync(directory, {withFileTypes: true})) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) settleModes(path)
    else if (entry.isFile()) chmodSync(path, readFileSync(path).subarray(0, 4).equals(elf) ? 0o755 : 0o644)
  }
}

/** The image key: from the SHA-512 of the uncompressed archive. */
async function keyOf(path: string): Promise<string> {
  const hash = createHash('sha512')
  await pipeline(createReadStream(path), createGunzip(), hash)
  return `sha512-${hash.digest('hex').slice(0, 64)}`
}

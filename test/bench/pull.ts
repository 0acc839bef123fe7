/**
 * An image of 1.14 GB in 40,000 files from a registry on loopback, fetched and rendered on tmpfs, beside `podman pull` of the same:
 * whole programs, in turn, with the processor time that each takes.
 */
import {spawnSync} from 'node:child_process'
import {createHash, randomBytes} from 'node:crypto'
import {createReadStream, createWriteStream, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {createGunzip, createGzip} from 'node:zlib'
import {pack} from 'tar-stream'
import {registryMissing, startRegistry} from '../registry/harness.ts'
import {type Comparison, compare} from './pairs.ts'
import {type Peak, peakOf} from './peak.ts'

const layers = 4
const filesOfLayer = 9_950
const bytesOfFile = 28_700

export interface PullFigures {
  readonly comparison: Comparison
  readonly peak: Peak
}

/** Null where a program is missing; `directory` is on a tmpfs, with 8 GB of room. */
export async function pulling(rkt: string, directory: string, pairs: number): Promise<PullFigures | null> {
  const missing = registryMissing()
  if (missing !== false || spawnSync('podman', ['--version']).status !== 0) {
    console.log(`pull: left out, ${missing === false ? 'podman is not installed (apt-get install podman)' : missing}`)
    return null
  }
  await using registry = await startRegistry({directory: join(directory, 'registry')})
  const layout = join(directory, 'layout')
  await writeImage(layout)
  registry.push(layout, 'big:1')
  rmSync(layout, {recursive: true})
  const data = join(directory, 'data')
  const fetch = [rkt, `--dir=${data}`, '--insecure-options=image', 'fetch', '--quiet', `docker://${registry.host}/big:1`]
  const [root, runroot] = [join(directory, 'podman'), join(directory, 'podman-run')]
  const podman = ['podman', `--root=${root}`, `--runroot=${runroot}`, '--storage-driver=overlay']
  const conf = join(directory, 'containers.conf')
  writeFileSync(conf, '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
  const clear = () => {
    spawnSync('podman', [...podman.slice(1), 'rmi', '--all', '--force'], {env: {...process.env, CONTAINERS_CONF: conf}, stdio: 'ignore'})
    for (const path of [data, root, runroot]) rmSync(path, {force: true, recursive: true})
  }
  const comparison = compare(
    '1.14 GB, 40,000 files, a registry',
    {before: clear, command: fetch, name: 'rkt fetch (rendered)'},
    {
      before: clear,
      command: [...podman, 'pull', '--quiet', '--tls-verify=false', `${registry.host}/big:1`],
      env: {...process.env, CONTAINERS_CONF: conf, TMPDIR: directory},
      name: 'podman pull',
    },
    pairs,
  )
  clear()
  const peak = await peakOf(fetch)
  clear()
  return {comparison, peak}
}

/** An OCI layout with one image; a third of each file does not compress, as in images. */
async function writeImage(layout: string): Promise<void> {
  const blobs = join(layout, 'blobs/sha256')
  mkdirSync(blobs, {recursive: true})
  const put = (value: object, kind: string) => {
    const bytes = Buffer.from(JSON.stringify(value))
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(blobs, hex), bytes)
    return {digest: `sha256:${hex}`, mediaType: `application/vnd.oci.image.${kind}.v1+json`, size: bytes.length}
  }
  const described = []
  const diffIds = []
  for (let layer = 0; layer < layers; layer++) {
    const path = join(blobs, 'layer')
    await writeLayer(path, layer)
    const digest = await sha256(createReadStream(path))
    diffIds.push(`sha256:${await sha256(createReadStream(path).pipe(createGunzip()))}`)
    described.push({digest: `sha256:${digest}`, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', size: statSync(path).size})
    renameSync(path, join(blobs, digest))
  }
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const config = put({architecture, config: {Cmd: ['/bin/true']}, os: 'linux', rootfs: {diff_ids: diffIds, type: 'layers'}}, 'config')
  const manifest = put({config, layers: described, mediaType: 'application/vnd.oci.image.manifest.v1+json', schemaVersion: 2}, 'manifest')
  writeFileSync(join(layout, 'index.json'), JSON.stringify({manifests: [manifest], schemaVersion: 2}))
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({imageLayoutVersion: '1.0.0'}))
}

async function sha256(stream: Readable): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}

async function writeLayer(path: string, layer: number): Promise<void> {
  const tar = pack()
  const written = pipeline(tar as unknown as Readable, createGzip({level: 6}), createWriteStream(path))
  const text = readFileSync(process.execPath).subarray(0, 8 << 20)
  const add = (header: {mode: number; name: string; type?: 'directory'}, content?: Buffer) =>
    new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve())
      if (content === undefined) tar.entry(header, done)
      else tar.entry(header, content, done)
    })
  for (let at = 0; at < filesOfLayer; at++) {
    const folder = `l${layer}/${Math.floor(at / 100)}`
    if (at % 100 === 0) await add({mode: 0o755, name: folder, type: 'directory'})
    const part = Math.floor(bytesOfFile * 0.65)
    const from = (at * 7919) % (text.length - part)
    const content = Buffer.concat([randomBytes(bytesOfFile - part), text.subarray(from, from + part)])
    await add({mode: 0o644, name: `${folder}/${at}`}, content)
  }
  tar.finalize()
  await written
}

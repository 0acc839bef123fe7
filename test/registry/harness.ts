/**
 * Real registries for tests: `docker-registry` on loopback, filled by `skopeo`, with and without TLS and users. Nothing outlives the
 * object that started it.
 */
import {execFileSync, spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync} from 'node:fs'
import {delimiter, join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {gzipSync} from 'node:zlib'
import {pack} from 'tar-stream'
import type {KeyPair} from './scripted-server.ts'

const programs = {'docker-registry': 'docker-registry', htpasswd: 'apache2-utils', openssl: 'openssl', skopeo: 'skopeo'}

/** Why tests with a real registry cannot run here, for `test(…, {skip})`; false where they can. */
export function registryMissing(): string | false {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const missing = Object.entries(programs).filter(([program]) => !directories.some((directory) => existsSync(join(directory, program))))
  return missing.length === 0 ? false : `not installed: ${missing.map(([, debian]) => debian).join(', ')}`
}

export interface Certificates extends KeyPair {
  /** The file of the authority that signed the certificate. */
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

/** A certificate authority of its own, and a certificate of it for localhost and 127.0.0.1, in a directory. */
export function makeCertificates(directory: string): Certificates {
  mkdirSync(directory, {recursive: true})
  const openssl = (...args: string[]) => execFileSync('openssl', args, {cwd: directory, stdio: 'ignore'})
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=rkt test authority', '-days', '2')
  openssl('req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
  writeFileSync(join(directory, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
  const signed = ['-in', 'server.csr', '-out', 'server.pem', '-days', '2', '-extfile', 'names']
  openssl('x509', '-req', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', ...signed)
  const [caFile, certFile, keyFile] = [join(directory, 'ca.pem'), join(directory, 'server.pem'), join(directory, 'server.key')]
  return {caFile, cert: readFileSync(certFile, 'utf8'), certFile, key: readFileSync(keyFile, 'utf8'), keyFile}
}

export interface RegistryServer extends AsyncDisposable {
  /** `localhost:PORT` */
  readonly host: string
  /** Where its blobs and links lie. */
  readonly storage: string
  /** Copies an image of an OCI layout, every platform of it, to `NAME:TAG` here. */
  push(layout: string, name: string): void
}

export interface StartOptions {
  /** For the configuration and the images. */
  readonly directory: string
  readonly tls?: Certificates
  /** Passwords by user; without them everybody may do everything. */
  readonly users?: Readonly<Record<string, string>>
}

/** Starts a registry and waits until it answers; disposing it ends the process and waits for that. */
export async function startRegistry({directory, tls, users}: StartOptions): Promise<RegistryServer> {
  mkdirSync(directory, {recursive: true})
  const storage = join(directory, 'storage')
  const passwords = join(directory, 'htpasswd')
  for (const [at, [user, password]] of Object.entries(users ?? {}).entries()) {
    execFileSync('htpasswd', ['-iB', ...(at === 0 ? ['-c'] : []), passwords, user], {input: password, stdio: ['pipe', 'ignore', 'ignore']})
  }
  const config = {
    ...(users === undefined ? {} : {auth: {htpasswd: {path: passwords, realm: 'test'}}}),
    http: {addr: '127.0.0.1:0', ...(tls === undefined ? {} : {tls: {certificate: tls.certFile, key: tls.keyFile}})},
    log: {level: 'info'},
    storage: {delete: {enabled: true}, filesystem: {rootdirectory: storage}},
    version: '0.1',
  }
  const file = join(directory, 'config.yml')
  writeFileSync(file, JSON.stringify(config)) // YAML is a superset
  // A pipe would fill up, and stop the registry, while a program is waited for without the event loop.
  const log = join(directory, 'log')
  const logFd = openSync(log, 'w')
  const child = spawn('docker-registry', ['serve', file], {stdio: ['ignore', 'ignore', logFd]})
  closeSync(logFd)
  let failure: Error | undefined
  child.on('error', (error) => {
    failure = error
  })
  let address: string | undefined
  while (address === undefined) {
    const text = readFileSync(log, 'utf8')
    if (child.exitCode !== null) failure ??= new Error(`docker-registry ended with status ${child.exitCode}: ${text}`)
    if (failure) throw failure
    const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(text) ?? []
    if (port === undefined) await sleep(20)
    else address = `localhost:${port}`
  }
  const [user, password] = Object.entries(users ?? {})[0] ?? []
  return {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
    host: address,
    push(layout, name) {
      const login = user === undefined ? [] : [`--dest-creds=${user}:${password}`]
      const to = ['--dest-tls-verify=false', ...login, `oci:${layout}`, `docker://${address}/${name}`]
      execFileSync('skopeo', ['--insecure-policy', 'copy', '--quiet', '--all', ...to], {stdio: ['ignore', 'ignore', 'pipe']})
    },
    storage,
  }
}

export interface LayoutImage {
  readonly architecture: string
  /** One layer each: path to content. */
  readonly layers: readonly Readonly<Record<string, string | Buffer>>[]
  readonly config?: Readonly<Record<string, unknown>>
}

export interface Layout {
  readonly directory: string
  /** Of the one entry of index.json: the manifest, or the index over several platforms. */
  readonly digest: string
}

/** Writes an OCI layout with one image, or an index over one image a platform. */
export async function writeLayout(directory: string, images: readonly LayoutImage[]): Promise<Layout> {
  mkdirSync(join(directory, 'blobs/sha256'), {recursive: true})
  const put = (bytes: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(directory, 'blobs/sha256', hex), bytes)
    return {digest: `sha256:${hex}`, mediaType, size: bytes.length}
  }
  const json = (value: object, kind: string) => {
    const mediaType = `application/vnd.oci.image.${kind}.v1+json`
    return put(Buffer.from(JSON.stringify(value)), mediaType)
  }
  const manifests = []
  for (const {architecture, config, layers} of images) {
    const tars = await Promise.all(layers.map(tarOf))
    const descriptors = tars.map((tar) => put(gzipSync(tar), 'application/vnd.oci.image.layer.v1.tar+gzip'))
    const diffIds = tars.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`)
    const process = {Cmd: ['/hello'], ...config}
    const image = json({architecture, config: process, os: 'linux', rootfs: {diff_ids: diffIds, type: 'layers'}}, 'config')
    const manifest = {config: image, layers: descriptors, mediaType: 'application/vnd.oci.image.manifest.v1+json', schemaVersion: 2}
    manifests.push({...json(manifest, 'manifest'), platform: {architecture, os: 'linux'}})
  }
  const [first] = manifests
  const top =
    first !== undefined && manifests.length === 1
      ? first
      : json({manifests, mediaType: 'application/vnd.oci.image.index.v1+json', schemaVersion: 2}, 'index')
  writeFileSync(join(directory, 'index.json'), JSON.stringify({manifests: [top], schemaVersion: 2}))
  writeFileSync(join(directory, 'oci-layout'), JSON.stringify({imageLayoutVersion: '1.0.0'}))
  return {digest: top.digest, directory}
}

async function tarOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const tar = pack()
  for (const [name, content] of Object.entries(files)) tar.entry({mode: 0o755, mtime: new Date(0), name}, content)
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** What the tests of this room have in common: a host with a store and keys, real gpg, real servers. Not part of the program. */
import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http'
import {createServer as createTlsServer} from 'node:https'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {hostLabels} from '../appc/index.ts'
import {SECURE} from '../config/index.ts'
import {causeChain} from '../errors.ts'
import {openStore} from '../store/index.ts'
import {openTreestore} from '../treestore/index.ts'
import {openKeystore} from '../trust/index.ts'
import {type FindImageOptions, findImage, type ImagePorts, writeAci} from './index.ts'

export interface HostOptions {
  readonly auth?: ImagePorts['config']['auth']
  /** Of a certificate authority that is believed. */
  readonly ca?: string
  readonly discoveryPort?: number
  readonly trustKeysFromHttps?: boolean
}

const scratch = (name: string) => mkdtempSync(join(tmpdir(), `rkt-${name}-`))

/** A data directory, a configuration, and finding images with both. */
export function aHost({auth = new Map(), ca, discoveryPort, trustKeysFromHttps = false}: HostOptions = {}) {
  const dir = scratch('image')
  const cas = join(dir, 'cas')
  const store = openStore(cas)
  const lines: string[] = []
  const directories = {local: join(dir, 'local'), system: join(dir, 'system')}
  const hear = (prefix: string, line: string) => lines.push(`${prefix}: ${line}`)
  const ports: ImagePorts = {
    config: {auth},
    diagnostics: {debug: hear, note: hear},
    network: {
      environment: ca === undefined ? {} : {SSL_CERT_FILE: ca},
      ...(discoveryPort !== undefined && {discoveryPort}),
    },
    options: {localConfig: directories.local, systemConfig: directories.system, trustKeysFromHttps},
    store,
    treestore: openTreestore(cas, store),
  }
  const find = (reference: string, options: Partial<FindImageOptions> = {}) =>
    findImage(ports, reference, {
      dependencies: true,
      insecure: SECURE,
      print: (line) => lines.push(line),
      pullPolicy: 'new',
      render: false,
      ...options,
    })
  return {
    /** Packs an image; its file is beside the store. */
    async archive(name: string, {file = name.replaceAll('/', '_'), version, ...rest}: ArchiveParts = {}): Promise<string> {
      const path = join(dir, `${file}.aci`)
      const rootfs = join(dir, 'empty')
      mkdirSync(rootfs, {recursive: true})
      const labels = [...hostLabels(), ...(version === undefined ? [] : [{name: 'version', value: version}])]
      const manifest = JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', labels, name, ...rest})
      await writeAci(path, {compress: true, manifest, overwrite: true, rootfs})
      return path
    },
    cas,
    dir,
    find,
    /** The chain of messages of a failure. */
    async failure(reference: string, options: Partial<FindImageOptions> = {}): Promise<string[]> {
      return await find(reference, options).then(
        () => assert.fail(`${reference} was accepted`),
        (error: unknown) => causeChain(error),
      )
    },
    images: async () => (await store.list()).map((image) => image.name),
    keystore: openKeystore(directories),
    lines,
    ports,
    store,
    tmp: () => readdirSync(join(cas, 'tmp')),
    [Symbol.dispose]() {
      store[Symbol.dispose]()
      rmSync(dir, {force: true, recursive: true})
    },
  }
}

export interface ArchiveParts {
  readonly file?: string
  readonly version?: string
  readonly [field: string]: unknown
}

export const unverified = {insecure: {...SECURE, image: true}}

/** gpg with a home of its own. */
export function aKeyring() {
  const home = scratch('gpg')
  const gpg = (...args: string[]): Buffer =>
    execFileSync('gpg', ['--homedir', home, '--batch', '--yes', '--quiet', '--pinentry-mode=loopback', '--passphrase=', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  return {
    key(user: string): Buffer {
      gpg('--quick-generate-key', `${user} <${user}@example.com>`, 'ed25519', 'sign', '0')
      return gpg('--armor', '--export', `${user}@example.com`)
    },
    /** Writes the signature beside the archive, as `.aci.asc`. */
    sign(path: string, user: string): string {
      gpg('--armor', '--local-user', `${user}@example.com`, '--output', `${path}.asc`, '--detach-sign', path)
      return `${path}.asc`
    },
    [Symbol.dispose]() {
      execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'])
      rmSync(home, {force: true, recursive: true})
    },
  }
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A web server that remembers what it was asked. */
export async function aServer(answer: Answer) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(asWords(request))
    answer(request, response)
  })
  return {asked, ...(await listening(server, 'http')), [Symbol.dispose]: () => void server.close().closeAllConnections()}
}

const asWords = ({headers, method, url}: IncomingMessage) =>
  [method, url, headers['if-none-match'] ?? '-', ...(headers.range === undefined ? [] : [headers.range])].join(' ')

async function listening(server: ReturnType<typeof createServer>, scheme: string) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return {port: address.port, url: `${scheme}://127.0.0.1:${address.port}`}
}

/** The same over TLS, with a certificate for localhost by an authority of its own, whose file is `ca`. */
export async function aTlsServer(answer: Answer) {
  const dir = scratch('tls')
  const openssl = (...args: string[]) => execFileSync('openssl', args, {cwd: dir, stdio: ['ignore', 'pipe', 'pipe']})
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  openssl('req', '-x509', ...key, '-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem')
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:false']
  openssl('req', '-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', ...key, '-subj', '/CN=localhost', ...names, '-keyout', 'key', '-out', 'pem')
  const asked: string[] = []
  const server = createTlsServer({cert: readFileSync(join(dir, 'pem')), key: readFileSync(join(dir, 'key'))}, (request, response) => {
    asked.push(asWords(request))
    answer(request, response)
  })
  return {
    asked,
    ca: join(dir, 'ca.pem'),
    ...(await listening(server, 'https')),
    [Symbol.dispose]() {
      server.close().closeAllConnections()
      rmSync(dir, {force: true, recursive: true})
    },
  }
}

/** Serves files by their paths; everything else is 404. */
export function files(content: ReadonlyMap<string, Buffer | string>, headers: Readonly<Record<string, string>> = {}): Answer {
  return ({url = ''}, response) => {
    const body = content.get(url)
    if (body === undefined) response.writeHead(404).end()
    else response.writeHead(200, {...headers, 'content-length': Buffer.byteLength(body)}).end(body)
  }
}

export function write(path: string, content: Buffer | string): string {
  writeFileSync(path, content)
  return path
}

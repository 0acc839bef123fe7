import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {lowError} from './failures.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where distributions keep the certificates that they trust, as one file. */
const systemFiles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
]
const systemDirectories = ['/etc/ssl/certs', '/etc/pki/tls/certs']

/**
 * The certificate authorities that this host trusts, as PEM: `SSL_CERT_FILE` in place of the system's file, `SSL_CERT_DIR` (separated
 * by colons) in place of its directory, and those of `NODE_EXTRA_CA_CERTS` besides. Undefined where the host has none at all: Node's
 * own are believed then.
 * @throws RktError RKT_HTTP_TLS when a file that the caller named cannot be read
 */
export function certificateAuthorities(environment: Environment, debug: (message: string) => void): string[] | undefined {
  const {NODE_EXTRA_CA_CERTS: extra, SSL_CERT_DIR: directories, SSL_CERT_FILE: file} = environment
  const found = new Set(file ? named(file, 'SSL_CERT_FILE') : firstOf(systemFiles))
  if (directories) {
    for (const directory of directories.split(':').filter((path) => path !== '')) addDirectory(found, directory)
  } else if (file || found.size === 0) {
    for (const directory of systemDirectories) addDirectory(found, directory)
  }
  const added = extra ? readExtra(extra, debug) : []
  if (found.size === 0 && !file && !directories) {
    return added.length === 0 ? undefined : [...process.getBuiltinModule('node:tls').rootCertificates, ...added]
  }
  return [...found, ...added]
}

function named(path: string, variable: string): string[] {
  try {
    return certificatesIn(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new RktError('RKT_HTTP_TLS', `cannot read the certificates of ${variable}`, {
      cause: new Error(`open ${path}: ${lowError(error).text}`),
    })
  }
}

function firstOf(paths: readonly string[]): string[] {
  for (const path of paths) {
    try {
      return certificatesIn(readFileSync(path, 'utf8'))
    } catch {
      // another distribution's place
    }
  }
  return []
}

function addDirectory(found: Set<string>, directory: string): void {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    return // as OpenSSL does: a directory that is not there holds no certificate
  }
  for (const name of names) {
    try {
      for (const certificate of certificatesIn(readFileSync(join(directory, name), 'utf8'))) found.add(certificate)
    } catch {
      // directories, dangling links and what others may not read
    }
  }
}

/** As Node: a file that cannot be read adds nothing. */
function readExtra(path: string, debug: (message: string) => void): string[] {
  try {
    return certificatesIn(readFileSync(path, 'utf8'))
  } catch (error) {
    debug(`ignoring NODE_EXTRA_CA_CERTS: open ${path}: ${lowError(error).text}`)
    return []
  }
}

const certificatesIn = (text: string): string[] => text.match(/-----BEGIN CERTIFICATE-----[A-Za-z\d+/=\s]+-----END CERTIFICATE-----/g) ?? []

import {closeSync, fstatSync, openSync, readFileSync} from 'node:fs'
import {pipeline} from 'node:stream/promises'
import {type ErrorCode, RktError} from '../../errors.ts'
import {native, systemError, unwrap} from '../../native/index.ts'
import type {NamedImage} from '../../store/index.ts'
import {descriptorSink, readDescriptor} from '../descriptor-streams.ts'
import {importArchive} from '../import-archive.ts'
import type {Session} from '../session.ts'

const maxSignature = 1024 * 1024

/** Imports an image archive of this machine; it is read again each time, whatever the pull policy says. */
export async function importFile(session: Session, path: string): Promise<NamedImage> {
  const {signature: given} = session.options
  session.say(`using image from file ${path}`)
  let fd = open(path, 'error opening ACI file')
  try {
    const signature = session.verifies ? readSignatureFile(given ?? `${path.replace(/\.aci$/, '')}.aci.asc`) : undefined
    if (signature !== undefined) fd = await unchanging(session, fd)
    const source = {type: 'aci-archive', url: `file://${encodeURI(path)}`} as const
    return await importArchive(session, {fd, latest: false, shown: path, signature, source})
  } finally {
    closeSync(fd)
  }
}

/** A detached signature that the user names, or that lies beside an archive. */
export function readSignatureFile(path: string): Uint8Array {
  const fd = open(path, 'error opening signature file', 'RKT_SIGNATURE_MISSING')
  try {
    const {size} = fstatSync(fd)
    if (size > maxSignature) throw new Error(`read ${path}: larger than ${maxSignature} bytes`)
    return readFileSync(fd)
  } catch (cause) {
    throw new RktError('RKT_SIGNATURE_MISSING', 'error opening signature file', {cause})
  } finally {
    closeSync(fd)
  }
}

/**
 * What is verified must be what is imported, and both read the file. One that others can write meanwhile, or that cannot be read
 * twice, is copied first.
 */
async function unchanging({ports}: Session, fd: number): Promise<number> {
  const stats = fstatSync(fd)
  if (stats.isFile() && stats.uid === process.geteuid?.() && (stats.mode & 0o022) === 0) return fd
  const copy = unwrap(native().openTmpFile(ports.store.tmpDir()))
  try {
    await pipeline(readDescriptor(fd), descriptorSink(copy))
    // a descriptor of its own, whose position is the beginning
    const again = openSync(`/proc/self/fd/${copy}`, 'r')
    closeSync(fd)
    return again
  } finally {
    closeSync(copy)
  }
}

function open(path: string, message: string, code: ErrorCode = 'RKT_IMAGE_UNREADABLE'): number {
  try {
    const fd = openSync(path, 'r')
    if (!fstatSync(fd).isDirectory()) return fd
    closeSync(fd)
    throw new Error(`read ${path}: is a directory`)
  } catch (error) {
    throw new RktError(code, message, {
      cause: systemError('open', path, error),
      hint: code === 'RKT_SIGNATURE_MISSING' ? 'To take the image without a signature, use --insecure-options=image.' : undefined,
    })
  }
}

import {closeSync, fstatSync, openSync} from 'node:fs'
import {type ErrorCode, RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import type {ImageKey} from '../store/index.ts'
import {importFrom} from './dependencies.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'
import {say} from './say.ts'
import {refuseUnverifiable} from './signature.ts'

/** Imports an image archive of this machine; it is read again each time, whatever the pull policy says. */
export async function importFile(ports: ImagePorts, path: string, options: FindImageOptions): Promise<ImageKey> {
  say(ports.diagnostics, `using image from file ${path}`)
  if (!options.insecure.image) checkSignature(path, options.signature)
  const fd = open(path, 'error opening ACI file')
  try {
    return await importFrom(ports, fd, path, options)
  } finally {
    closeSync(fd)
  }
}

function checkSignature(path: string, given: string | undefined): void {
  closeSync(open(given ?? `${path.replace(/\.aci$/, '')}.aci.asc`, 'error opening signature file', 'RKT_SIGNATURE_MISSING'))
  closeSync(open(path, 'error opening ACI file'))
  throw refuseUnverifiable(path)
}

function open(path: string, message: string, code: ErrorCode = 'RKT_IMAGE_UNREADABLE'): number {
  try {
    const fd = openSync(path, 'r')
    if (!fstatSync(fd).isDirectory()) return fd
    closeSync(fd)
    throw new Error(`read ${path}: is a directory`)
  } catch (error) {
    throw new RktError(code, message, {cause: systemError('open', path, error)})
  }
}

import {closeSync, openSync} from 'node:fs'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import type {ImageKey} from '../store/index.ts'
import type {FindImageOptions, ImagePorts} from './ports.ts'
import {say} from './say.ts'
import {refuseUnverifiable} from './signature.ts'

/** Imports an image archive of this machine; it is read again each time, whatever the pull policy says. */
export async function importFile(
  {diagnostics, store}: ImagePorts,
  path: string,
  {insecure, signature}: FindImageOptions,
): Promise<ImageKey> {
  say(diagnostics, `using image from file ${path}`)
  if (!insecure.image) checkSignature(path, signature)
  const fd = open(path, 'error opening ACI file')
  try {
    return await store.importAci(fd, {latest: false, source: path})
  } finally {
    closeSync(fd)
  }
}

function checkSignature(path: string, given: string | undefined): void {
  closeSync(open(given ?? `${path.replace(/\.aci$/, '')}.aci.asc`, 'error opening signature file'))
  closeSync(open(path, 'error opening ACI file'))
  throw refuseUnverifiable(path)
}

function open(path: string, message: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    const hint = message.includes('signature') ? 'To take the image without a signature, use --insecure-options=image.' : undefined
    throw new RktError(hint === undefined ? 'RKT_IMAGE_UNREADABLE' : 'RKT_SIGNATURE_MISSING', message, {
      cause: systemError('open', path, error),
      hint,
    })
  }
}

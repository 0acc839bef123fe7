import {RktError} from '../errors.ts'

/** This version cannot check signatures, so with verification on it takes nothing that needs one. */
export function refuseUnverifiable(what: string): RktError {
  return new RktError('RKT_SIGNATURE_UNVERIFIABLE', `the signature of ${what} cannot be verified by this version`, {
    hint: 'To take the image without verification, use --insecure-options=image.',
  })
}

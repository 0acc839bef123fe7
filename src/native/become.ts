import type {BecomeRequest} from './contract.ts'
import {failureError, native} from './load.ts'

/**
 * Replaces this process by another program, with what the caller of rkt gave it (the launcher's record) restored. Returns never:
 * when it fails it throws, and as the mount namespace may be the pod's own by then, all that is left to do is to end.
 */
export function become(request: Omit<BecomeRequest, 'launch'>): never {
  throw failureError(native().become({...request, launch: process.env.RKT_LAUNCH}))
}

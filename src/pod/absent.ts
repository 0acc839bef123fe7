import {readFileSync} from 'node:fs'

const errnoOf = (error: unknown): unknown => {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string' && !error.code.startsWith('RKT_')) return error.code
  // A failure of the addon carries the system's error beneath it.
  return errnoOf(error.cause)
}

/** The failure says that something is not there: often just what was wanted. */
export const isAbsent = (error: unknown): boolean => errnoOf(error) === 'ENOENT'

export function readIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

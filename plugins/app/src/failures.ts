import {RktError} from '@rkt/engine'

/** Does something whose failure has this sentence around its innermost cause, and this exit status. */
export async function explained<T>(sentence: string, action: () => Promise<T>, exitCode = 254): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof RktError && error.code === 'RKT_POD_STATE') throw withStatus(error, exitCode)
    const hint = error instanceof RktError ? error.hint : undefined
    throw new RktError('RKT_POD_APPS', sentence, {cause: error, exitCode, hint})
  }
}

function withStatus(error: RktError, exitCode: number): RktError {
  return new RktError(error.code, error.message, {cause: error.cause, exitCode, hint: error.hint})
}

/** An argument that has to be there; without it this is said. */
export function required(value: string | undefined, message: string, exitCode = 254): string {
  if (value) return value
  throw new RktError('RKT_BAD_ARGUMENTS', message, {exitCode})
}

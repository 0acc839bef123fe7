import {asRktError, RktError} from '../errors.ts'

/** The same failure, said in a larger sentence; its code and its next step stay. */
export function explain(message: string, cause: unknown): RktError {
  const {code, exitCode, hint} = asRktError(cause)
  return new RktError(code, message, {cause, exitCode, hint})
}

import {RktError} from '../errors.ts'

/** Words that do not fit a command. The command's help goes to stdout; `message`, when there is one, to stderr as `Error: MESSAGE`, and the next step behind it. */
export class UsageError extends RktError {
  constructor(message = '', hint?: string) {
    super('RKT_USAGE', message, {hint})
  }
}

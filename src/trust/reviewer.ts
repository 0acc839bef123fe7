import {constants} from 'node:fs'
import {RktError} from '../errors.ts'

/** A person who can be asked. */
export interface Reviewer {
  /** Whether there is one: standard input and standard error are terminals. */
  isThere(): boolean
  /** The next line that the person types, without its end; null when there will be none. */
  line(): Promise<string | null>
}

/**
 * The person at the terminal. A description of our own is opened: another process may have left the shared one non-blocking, and what
 * rkt becomes after this must not find its input changed.
 */
export function terminalReviewer(): Reviewer {
  return {
    isThere() {
      const {isatty} = process.getBuiltinModule('node:tty')
      return isatty(0) && isatty(2)
    },
    async line() {
      const {open} = await import('node:fs/promises')
      await using file = await open('/proc/self/fd/0', constants.O_RDONLY | constants.O_NOCTTY)
      // A terminal gives one line a read, however long the buffer is.
      const buffer = Buffer.alloc(4096)
      const {bytesRead} = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0) return null
      return buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '')
    },
  }
}

/** Asks until the answer is yes or no. */
export async function askToTrust(reviewer: Reviewer, print: (line: string) => void): Promise<boolean> {
  for (;;) {
    print('Are you sure you want to trust this key (yes/no)?')
    const answer = await reviewer.line().catch((cause: unknown) => {
      throw new RktError('RKT_KEY_REVIEW', 'error reading input', {cause})
    })
    if (answer === null) throw new RktError('RKT_KEY_REVIEW', 'error reading input')
    if (answer === 'yes') return true
    if (answer === 'no') return false
    print("Please enter 'yes' or 'no'")
  }
}

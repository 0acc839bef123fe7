/** How commands are told which pods they are about. */

import {readFileSync} from 'node:fs'
import {Flags, UsageError} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'

export const uuidFileFlag = {
  'uuid-file': Flags.string({completes: 'file', description: 'read pod UUID from file instead of argument'}),
}

/** The UUID in a file, white space around it ignored. */
export function readUuidFile(path: string, exitCode = 254): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new RktError('RKT_UUID_FILE', 'unable to resolve UUID from file', {cause: systemError('open', path, error), exitCode})
  }
}

/** The one UUID of the words or of the file; both or neither is a misuse. */
export function oneUuid(words: readonly string[], file: string | undefined, exitCode?: number): string {
  const [word, ...more] = words
  if (more.length > 0 || (word === undefined) === (file === undefined)) throw new UsageError()
  return file === undefined ? (word ?? '') : readUuidFile(file, exitCode)
}

import {join} from 'node:path'
import {RktError} from '../errors.ts'
import {FileLock} from '../native/index.ts'
import {isAbsent} from './absent.ts'
import {makeDirectories} from './files.ts'

/**
 * The lock between those who prepare pods (shared) and those who remove trees that no pod uses (exclusive): a tree that was
 * rendered for a pod stays until the pod names it.
 */
export async function prepareLock(dataDir: string, mode: 'shared' | 'exclusive'): Promise<FileLock> {
  const directory = join(dataDir, 'locks')
  const path = join(directory, 'prepareLock')
  const acquire = () => FileLock.acquire(path, mode, {create: true})
  try {
    return await acquire().catch((error: unknown) => {
      if (!isAbsent(error)) throw error
      makeDirectories(directory, 0o750)
      return acquire()
    })
  } catch (cause) {
    throw new RktError('RKT_PREPARE_LOCK', `cannot get ${mode} prepare lock`, {cause})
  }
}

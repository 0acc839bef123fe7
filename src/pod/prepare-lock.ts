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
  try {
    return await dataLock(dataDir, 'prepareLock', mode)
  } catch (cause) {
    throw new RktError('RKT_PREPARE_LOCK', `cannot get ${mode} prepare lock`, {cause})
  }
}

/** A lock of the whole data directory, below `locks`. */
export async function dataLock(dataDir: string, name: string, mode: 'shared' | 'exclusive'): Promise<FileLock> {
  const directory = join(dataDir, 'locks')
  const acquire = () => FileLock.acquire(join(directory, name), mode, {create: true})
  return await acquire().catch((error: unknown) => {
    if (!isAbsent(error)) throw error
    makeDirectories(directory, 0o750)
    return acquire()
  })
}

/** What commands write outside of the data directory: beside its place first, under its name when it is whole. */
import {randomUUID} from 'node:crypto'
import {chmodSync, closeSync, existsSync, linkSync, openSync, realpathSync, renameSync, rmSync} from 'node:fs'
import {basename, dirname, join, resolve} from 'node:path'
import {RktError} from '../errors.ts'
import {native, SystemError, systemError, unwrap} from '../native/index.ts'
import {errnoOf} from '../store/index.ts'

const FILE_MODE = 0o644

/** Writes a file through a descriptor. A failure leaves what was there, and without `overwrite` so does success of somebody else. */
export async function writeOutputFile(path: string, overwrite: boolean, write: (fd: number) => Promise<void>): Promise<void> {
  if (!overwrite && existsSync(path)) throw fileExists()
  const temporary = besides(path)
  let fd: number
  try {
    fd = openSync(temporary, 'wx', FILE_MODE)
  } catch (error) {
    throw new RktError('RKT_OUTPUT', `unable to open output ACI file ${path}`, {cause: systemError('open', path, error)})
  }
  try {
    await write(fd)
    chmodSync(temporary, FILE_MODE)
    if (overwrite) renameSync(temporary, path)
    else linkSync(temporary, path)
  } catch (error) {
    throw errnoOf(error) === 'EEXIST' ? fileExists() : named(path, error)
  } finally {
    closeSync(fd)
    rmSync(temporary, {force: true})
  }
}

/** Fills a directory that does not exist; with `overwrite` one that does is removed when the new one is whole. */
export async function writeOutputDirectory(path: string, overwrite: boolean, fill: (directory: string) => Promise<void>): Promise<void> {
  const target = resolve(path)
  if (existsSync(target)) {
    if (!overwrite) throw new RktError('RKT_OUTPUT_EXISTS', 'output directory exists (try --overwrite)')
    if (realpathSync(target) === '/') throw new RktError('RKT_OUTPUT', 'this would delete your root filesystem. Refusing.')
  }
  const temporary = besides(target)
  try {
    await fill(temporary)
    if (overwrite) unwrap(await native().removeTree(target))
    renameSync(temporary, target)
  } catch (error) {
    unwrap(await native().removeTree(temporary))
    throw named(target, error)
  }
}

/** A failure that names what it was about, which is the output where nothing else is said. */
function named(path: string, error: unknown): Error {
  return error instanceof SystemError || error instanceof RktError ? error : systemError('write', path, error)
}

function besides(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomUUID()}`)
}

function fileExists(): RktError {
  return new RktError('RKT_FILE_EXISTS', 'output ACI file exists (try --overwrite)')
}

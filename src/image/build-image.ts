import {lstatSync, readdirSync, readFileSync} from 'node:fs'
import {extname, join, resolve} from 'node:path'
import {encodeImageManifest, parseImageManifest} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import {writeAci} from './pack-aci.ts'

export interface BuildOptions {
  readonly compress: boolean
  readonly overwrite: boolean
  /** Every entry belongs to root. */
  readonly ownerRoot: boolean
  /** The time of every entry; undefined leaves each its own. */
  readonly timestamp: Date | undefined
}

/** Packs an image layout (`manifest` and `rootfs`) into an archive. */
export async function buildImage(directory: string, output: string, options: BuildOptions): Promise<void> {
  if (extname(output) !== '.aci') {
    throw new RktError('RKT_BAD_ARGUMENTS', `extension must be .aci (given ${output})`)
  }
  const layout = resolve(directory)
  const manifest = encodeImageManifest(parseImageManifest(readManifest(layout), join(layout, 'manifest')))
  for (const name of readdirSync(layout)) {
    if (name !== 'manifest' && name !== 'rootfs') throw invalid(layout, `unrecognized file path in layout: ${JSON.stringify(name)}`)
  }
  if (!lstatSync(join(layout, 'rootfs'), {throwIfNoEntry: false})?.isDirectory()) throw invalid(layout, 'no rootfs directory')
  try {
    await writeAci(resolve(output), {...options, manifest, rootfs: join(layout, 'rootfs')})
  } catch (error) {
    if (!(error instanceof RktError) || error.code !== 'RKT_FILE_EXISTS') throw error
    throw new RktError(error.code, `output ACI file ${output} exists (try --overwrite)`)
  }
}

function readManifest(layout: string): Buffer {
  const path = join(layout, 'manifest')
  try {
    if (lstatSync(path).isFile()) return readFileSync(path)
  } catch (error) {
    throw new RktError('RKT_BAD_LAYOUT', `${layout} is no image layout`, {cause: systemError('open', path, error)})
  }
  throw invalid(layout, 'manifest is no regular file')
}

function invalid(layout: string, reason: string): RktError {
  return new RktError('RKT_BAD_LAYOUT', `${layout} is no image layout`, {cause: new Error(reason)})
}

import {RktError} from '../errors.ts'
import {parseAcName} from './names.ts'
import {type ParameterErrors, parseBoolean, parseKnownParameters} from './parameters.ts'
import {quoteWhole as quote} from './text.ts'
import type {AcName, Mount, MountPoint} from './types.ts'

const MOUNT: ParameterErrors = {code: 'RKT_BAD_MOUNT', what: 'mount'}
const MOUNT_POINT: ParameterErrors = {code: 'RKT_BAD_MOUNT', what: 'mount point'}

/** The option `--mount`: `volume=NAME,target=PATH`. */
export function parseMount(text: string): Mount {
  const parameters = parseKnownParameters(text, ['volume', 'target'], MOUNT)
  const volume = parameters.get('volume') ?? ''
  const path = parameters.get('target')
  const name = volumeName(volume, text)
  if (!path) throw new RktError(MOUNT.code, `missing target= parameter in --mount flag ${quote(text)}`)
  return {path, volume: name}
}

function volumeName(name: string, flag: string): AcName {
  try {
    return parseAcName(name)
  } catch (cause) {
    throw new RktError(MOUNT.code, `invalid volume name ${quote(name)} in --mount flag ${quote(flag)}`, {cause})
  }
}

/** A mount point of an app: `NAME,path=PATH[,readOnly=BOOL]`. */
export function parseMountPoint(text: string): MountPoint {
  const parameters = parseKnownParameters(`name=${text}`, ['name', 'path', 'readOnly'], MOUNT_POINT)
  const name = parseAcName(parameters.get('name') ?? '')
  const path = parameters.get('path')
  if (!path) throw new RktError(MOUNT_POINT.code, 'path must be set')
  const readOnly = parseBoolean(parameters.get('readOnly'), 'readOnly', MOUNT_POINT)
  return {name, path, ...(readOnly === true ? {readOnly} : {})}
}

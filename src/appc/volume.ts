import {RktError} from '../errors.ts'
import {parseAcName} from './names.ts'
import {type ParameterErrors, parseBoolean, parseInteger, parseKnownParameters} from './parameters.ts'
import type {EmptyVolume, Mount, Propagation, Volume} from './types.ts'

/** The largest uid or gid: the kernel reads the one above as "unchanged". */
export const MAX_ID = 2 ** 32 - 2

const ERRORS: ParameterErrors = {code: 'RKT_BAD_VOLUME', what: 'volume'}
const KEYS = ['name', 'kind', 'source', 'readOnly', 'recursive', 'propagation', 'mode', 'uid', 'gid'] as const
const DEFAULTS: Pick<EmptyVolume, 'mode' | 'uid' | 'gid'> = {gid: 0, mode: '0755', uid: 0}

const PROPAGATIONS: readonly string[] = ['private', 'slave', 'shared'] satisfies readonly Propagation[]

const isPropagation = (text: string): text is Propagation => PROPAGATIONS.includes(text)

/** A volume before it is known to be one: absent fields are undefined. */
export type VolumeDraft = Pick<Volume, 'name'> & {
  readonly [Field in Exclude<(typeof KEYS)[number], 'name'>]?:
    | (Field extends 'uid' | 'gid' ? number : Field extends 'readOnly' | 'recursive' ? boolean : string)
    | undefined
}

/** What keeps a draft from being a volume, or null. */
export function volumeProblem({gid, kind, mode, propagation, source = '', uid}: VolumeDraft): string | null {
  if (kind === 'host') {
    if (source === '') return 'source for host volume cannot be empty'
    if (!source.startsWith('/')) return 'source for host volume must be absolute path'
    for (const [key, value] of Object.entries({gid, mode, uid})) if (value !== undefined) return `${key} for host volume cannot be set`
    if (propagation !== undefined && !isPropagation(propagation)) return `propagation must be one of ${PROPAGATIONS.join(', ')}`
    return null
  }
  if (kind !== 'empty') return 'unrecognized volume kind: should be one of "empty", "host"'
  if (propagation !== undefined) return 'propagation for empty volume cannot be set'
  if (source !== '') return 'source for empty volume must be empty'
  if (mode !== undefined && !/^0*[0-7]{1,4}$/.test(mode)) return 'mode for empty volume must be octal digits'
  return null
}

/** The volume that a draft without problems stands for: an empty one has a mode and owners. */
export function completeVolume({gid, kind, mode, name, propagation, readOnly, recursive, source, uid}: VolumeDraft): Volume {
  const common = {name, ...(readOnly === undefined ? {} : {readOnly}), ...(recursive === undefined ? {} : {recursive})}
  if (kind === 'host') {
    const host = {...common, kind, source: source ?? ''} as const
    return propagation !== undefined && isPropagation(propagation) ? {...host, propagation} : host
  }
  return {...common, gid: gid ?? DEFAULTS.gid, kind: 'empty', mode: mode ?? DEFAULTS.mode, uid: uid ?? DEFAULTS.uid}
}

/** `NAME,kind=host,source=/abs[,readOnly=BOOL][,recursive=BOOL][,propagation=WORD]` or `NAME,kind=empty[,mode=0755][,uid=0][,gid=0][,readOnly=BOOL]`. */
export function parseVolume(text: string): Volume {
  return volumeOf(parseKnownParameters(`name=${text}`, KEYS, ERRORS))
}

/** A volume and where an app has it: `name=NAME,target=PATH` and what else a volume has, in any order. */
export function parseMountVolume(text: string): Mount {
  const parameters = parseKnownParameters(text, [...KEYS, 'target'], ERRORS)
  const path = parameters.get('target')
  if (!path) throw new RktError(ERRORS.code, 'missing target= parameter')
  const appVolume = volumeOf(parameters)
  return {appVolume, path, volume: appVolume.name}
}

function volumeOf(parameters: ReadonlyMap<string, string>): Volume {
  const name = parameters.get('name')
  if (!name) throw new RktError(ERRORS.code, 'name must be set')
  const draft: VolumeDraft = {
    gid: parseInteger(parameters.get('gid'), 'gid', MAX_ID, ERRORS),
    kind: parameters.get('kind'),
    mode: parameters.get('mode'),
    name: parseAcName(name),
    propagation: parameters.get('propagation'),
    readOnly: parseBoolean(parameters.get('readOnly'), 'readOnly', ERRORS),
    recursive: parseBoolean(parameters.get('recursive'), 'recursive', ERRORS),
    source: parameters.get('source'),
    uid: parseInteger(parameters.get('uid'), 'uid', MAX_ID, ERRORS),
  }
  const problem = volumeProblem(draft)
  if (problem !== null) throw new RktError(ERRORS.code, problem)
  return completeVolume(draft)
}

/** The text of a volume; mode and owners of an empty one only where they are not the default. */
export function formatVolume(volume: Volume): string {
  const words = [volume.name as string, `kind=${volume.kind}`]
  if (volume.kind === 'host') words.push(`source=${volume.source}`)
  for (const key of ['readOnly', 'recursive'] as const) if (volume[key] !== undefined) words.push(`${key}=${volume[key]}`)
  if (volume.kind === 'host' && volume.propagation !== undefined) words.push(`propagation=${volume.propagation}`)
  if (volume.kind === 'empty') {
    for (const key of ['mode', 'uid', 'gid'] as const) if (volume[key] !== DEFAULTS[key]) words.push(`${key}=${volume[key]}`)
  }
  return words.join(',')
}

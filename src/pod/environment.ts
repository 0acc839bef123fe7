import {readFileSync} from 'node:fs'
import type {EnvironmentVariable} from '../appc/index.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import type {EnvironmentRequest} from './request.ts'

// Shells export functions under names that no manifest may hold.
const lawfulName = /^[A-Za-z_][A-Za-z_0-9.-]*$/

/**
 * The environment of one app. From the weakest to the strongest: the caller's (inherited), the image's, files, `--set-env`, and
 * `--environment` of the app itself.
 */
export function appEnvironment(
  image: readonly EnvironmentVariable[],
  {files, inherited = {}, set}: EnvironmentRequest,
  own: ReadonlyMap<string, string>,
): EnvironmentVariable[] {
  const variables = new Map<string, string>()
  for (const {name, value} of image) variables.set(name, value)
  for (const layer of [files, set, own]) for (const [name, value] of layer) variables.set(name, value)
  for (const [name, value] of Object.entries(inherited)) if (lawfulName.test(name) && !variables.has(name)) variables.set(name, value)
  return [...variables].map(([name, value]) => ({name, value}))
}

/** Adds `K=V` of one `--set-env`. */
export function addVariable(variables: Map<string, string>, text: string): void {
  const [name, value] = splitVariable(text)
  if (value === undefined) throw new RktError('RKT_BAD_VARIABLE', 'must be specified as key=value')
  if (variables.has(name)) throw new RktError('RKT_BAD_VARIABLE', `key "${name}" already set`)
  variables.set(name, value)
}

/** Adds the lines `K=V` of a `--set-env-file`; empty lines and those that start with `#` or `;` say nothing. */
export function addVariablesFromFile(variables: Map<string, string>, path: string): void {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw systemError('open', path, error)
  }
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    const [name, value] = splitVariable(line)
    if (value === undefined)
      throw new RktError('RKT_BAD_VARIABLE', `environment variable must be specified as name=value (file "${path}")`)
    if (variables.has(name)) throw new RktError('RKT_BAD_VARIABLE', `environment variable "${name}" already set (file "${path}")`)
    variables.set(name, value)
  }
}

function splitVariable(text: string): [name: string, value: string | undefined] {
  const at = text.indexOf('=')
  return at <= 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

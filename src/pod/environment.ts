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

export type Variable = readonly [name: string, value: string]

/** `K=V` of one `--set-env`, behind those that were given before. */
export function parseVariable(text: string, earlier: readonly Variable[]): Variable {
  const variable = splitVariable(text)
  if (!variable) throw new RktError('RKT_BAD_VARIABLE', 'must be specified as key=value')
  const [name] = variable
  if (earlier.some(([other]) => other === name)) throw new RktError('RKT_BAD_VARIABLE', `key "${name}" already set`)
  return variable
}

/** The lines `K=V` of one `--set-env-file`, behind the files before it; empty lines and those that start with `#` or `;` say nothing. */
export function readVariables(path: string, earlier: readonly ReadonlyMap<string, string>[]): ReadonlyMap<string, string> {
  const fail = (message: string) => new RktError('RKT_BAD_VARIABLE', `${message} (file "${path}")`)
  const variables = new Map<string, string>()
  for (const line of readLines(path)) {
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    const variable = splitVariable(line)
    if (!variable) throw fail('environment variable must be specified as name=value')
    const [name, value] = variable
    if ([...earlier, variables].some((map) => map.has(name))) throw fail(`environment variable "${name}" already set`)
    variables.set(name, value)
  }
  return variables
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch (error) {
    throw systemError('open', path, error)
  }
}

function splitVariable(text: string): Variable | undefined {
  const at = text.indexOf('=')
  return at <= 0 ? undefined : [text.slice(0, at), text.slice(at + 1)]
}

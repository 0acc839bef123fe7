import {existsSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {RktError} from '../errors.ts'
import type {NativeAddon, NativeFailure, Outcome} from './contract.ts'
import {errnoError} from './system-error.ts'

let loaded: NativeAddon | undefined

/** The addon, loaded at its first use. */
export function native(): NativeAddon {
  loaded ??= load()
  return loaded
}

export function isFailure(outcome: unknown): outcome is NativeFailure {
  return typeof outcome === 'object' && outcome !== null && 'failure' in outcome
}

/** The value of an outcome; a failure is thrown as an RktError whose cause is the system's. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (isFailure(outcome)) throw failureError(outcome)
  return outcome
}

/** A failure of the addon as the error that a user meets. */
export function failureError({failure: {cause, code, errno, message}}: NativeFailure): RktError {
  const beneath = cause === undefined ? undefined : new Error(cause)
  return new RktError(code as `RKT_${string}`, message, {cause: beneath ?? (errno === 0 ? undefined : errnoError(errno))})
}

function load(): NativeAddon {
  const path = addonPath()
  const hint = 'Run "npm run build".'
  if (path === undefined || !existsSync(path)) {
    throw new RktError('RKT_ADDON_MISSING', `the native addon ${path ?? 'rkt.node'} does not exist`, {hint})
  }
  const module: {exports: unknown} = {exports: {}}
  try {
    process.dlopen(module, path)
  } catch (cause) {
    throw new RktError('RKT_ADDON_UNUSABLE', `cannot load the native addon ${path}`, {cause, hint})
  }
  return module.exports as NativeAddon
}

/** `dist/rkt.node` of the package that this file belongs to, bundled (in dist/) or not (in src/native/). */
function addonPath(): string | undefined {
  for (let at = import.meta.dirname; at !== dirname(at); at = dirname(at)) {
    if (isEngine(join(at, 'package.json'))) return join(at, 'dist', 'rkt.node')
  }
  return undefined
}

function isEngine(manifest: string): boolean {
  if (!existsSync(manifest)) return false
  const {name} = JSON.parse(readFileSync(manifest, 'utf8')) as {name?: unknown}
  return name === '@rkt/engine'
}

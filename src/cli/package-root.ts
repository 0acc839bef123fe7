import {existsSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

/** The directory of rkt's own package.json, above the sources and above the bundle. */
export function packageRoot(): string {
  for (let at = import.meta.dirname; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return at
    if (at === dirname(at)) throw new Error(`no package.json above ${import.meta.dirname}`)
  }
}

let version: string | undefined

/** The version of the running rkt. */
export function packageVersion(): string {
  version ??= (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {version: string}).version
  return version
}

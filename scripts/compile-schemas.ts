/**
 * Compiles src/appc/schemas.ts into src/appc/generated/validators.ts: plain code that needs no ajv, and that is committed, so
 * that sources run unbuilt. `node scripts/compile-schemas.ts` writes it; a unit test fails when it is stale.
 */
import {mkdirSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'

import {schemas} from '../src/appc/schemas.ts'

export const GENERATED = fileURLToPath(new URL('../src/appc/generated/validators.ts', import.meta.url))

const HEADER = `// biome-ignore-all lint: generated
// biome-ignore-all format: generated
// biome-ignore-all assist: generated
// @ts-nocheck: generated
// Generated from src/appc/schemas.ts by scripts/compile-schemas.ts. Do not edit.
`

/** The text of the generated module. */
export async function compileSchemas(): Promise<string> {
  const [{Ajv}, {default: standalone}] = await Promise.all([import('ajv'), import('ajv/dist/standalone/index.js')])
  const ajv = new Ajv({code: {esm: true, lines: true, source: true}, messages: false, schemas: [schemas]})
  ajv.addVocabulary(['emit'])
  const code = standalone.default(ajv, {imageManifest: 'appc#/$defs/imageManifest', podManifest: 'appc#/$defs/podManifest'})
  if (/\brequire\(|^import /m.test(code)) throw new Error('the compiled schemas need ajv at run time')
  return HEADER + withoutUnusedSchemas(code.replace('"use strict";', '')).trimStart()
}

/** ajv writes each schema beside its code, where only few are looked at. */
function withoutUnusedSchemas(code: string): string {
  return code.replace(/^const (schema\d+) = .*\n/gm, (line, name: string) =>
    code.split(new RegExp(`\\b${name}\\b`)).length > 2 ? line : '',
  )
}

if (import.meta.main) {
  mkdirSync(dirname(GENERATED), {recursive: true})
  writeFileSync(GENERATED, await compileSchemas())
}

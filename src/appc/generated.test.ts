import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {test} from 'node:test'

import {compileSchemas, GENERATED} from '../../scripts/compile-schemas.ts'

test('the committed validators are what the schemas compile to (else run scripts/compile-schemas.ts)', async () => {
  assert.equal(readFileSync(GENERATED, 'utf8'), await compileSchemas())
})

test('the committed validators import nothing', () => {
  assert.doesNotMatch(readFileSync(GENERATED, 'utf8'), /\b(?:import|require)\b/)
})

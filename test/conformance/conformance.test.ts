/** The conformance images under every flavor that rkt ships. */
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {test} from 'node:test'
import {aHost} from '../functional/harness/index.ts'
import {check, type Verdicts} from './check.ts'
import {rows} from './rows.ts'
import {documentPath, shippedFlavors, table, withTable} from './table.ts'

const found: Record<string, Verdicts> = {}

for (const [flavor, options] of Object.entries(shippedFlavors)) {
  test(`${flavor}: the images of the validator run to their end`, async () => {
    await using host = await aHost()

    found[flavor] = await check(host, options)

    assert.ok([...found[flavor].values()].some((reason) => reason === undefined))
  })
}

test('native gives everything that an executor has to give', () => {
  const missing = rows.filter(({id}) => found.native?.get(id) !== undefined)

  assert.deepEqual(
    missing.map(({claim, id}) => `${id} ${claim}: ${found.native?.get(id)}`),
    [],
  )
})

test('docs/flavors.md says what was found: npm run conformance -- --write', () => {
  const document = readFileSync(documentPath, 'utf8')

  assert.equal(document, withTable(document, table(found)))
})

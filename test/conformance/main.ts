/**
 * npm run conformance: runs the conformance images under flavors and prints one table of what each gives.
 *
 *   npm run conformance                     the flavors that rkt ships
 *   npm run conformance -- --flavor=NAME    another: an image name as --stage1-name takes it, or the path of an image (may be repeated)
 *   npm run conformance -- --write          also writes the table to docs/flavors.md
 */
import {spawnSync} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'
import {parseArgs} from 'node:util'
import {aHost, checkout} from '../functional/harness/index.ts'
import {check, type Verdicts} from './check.ts'
import {rows} from './rows.ts'
import {documentPath, shippedFlavors, table, withTable} from './table.ts'

if (process.env.RKT_TEST_NAMESPACES === undefined) {
  const enter = join(checkout, 'test/functional/harness/enter.mjs')
  const again = [enter, process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  process.exit(spawnSync(process.execPath, again, {stdio: 'inherit'}).status ?? 1)
}

const {values} = parseArgs({options: {flavor: {multiple: true, type: 'string'}, write: {default: false, type: 'boolean'}}})
const others = (values.flavor ?? []).map((name): [string, string[]] =>
  name.startsWith('/') ? [basename(name, '.aci'), [`--stage1-path=${name}`]] : [name, [`--stage1-name=${name}`]],
)
const found: Record<string, Verdicts> = {}
for (const [flavor, options] of [...Object.entries(shippedFlavors), ...others]) {
  await using host = await aHost()
  found[flavor] = await check(host, options)
}
const text = table(found)
console.log(text)
for (const [flavor, verdicts] of Object.entries(found)) {
  for (const {id} of rows) if (verdicts.get(id) !== undefined) console.log(`${flavor} ${id}: ${verdicts.get(id)}`)
}
if (values.write) writeFileSync(documentPath, withTable(readFileSync(documentPath, 'utf8'), text))
process.exit(0)

import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {test} from 'node:test'
import '../src/cli/engine-hooks.ts'

const root = resolve(import.meta.dirname, '..')

test('the manual pages are those that the declarations give (node scripts/generate-man.ts writes them)', async () => {
  const {discoverCatalog} = await import('../src/cli/catalog-source.ts')
  const {packageVersion} = await import('../src/cli/index.ts')
  const {manPages} = await import('./generate-man.ts')

  const pages = await manPages(await discoverCatalog(root), packageVersion())

  assert.deepEqual(readdirSync(join(root, 'man')).toSorted(), [...pages.keys()].toSorted())
  for (const [name, text] of pages) assert.equal(readFileSync(join(root, 'man', name), 'utf8'), text, name)
})

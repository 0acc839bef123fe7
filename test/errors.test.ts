import assert from 'node:assert/strict'
import {globSync, readFileSync} from 'node:fs'
import {resolve} from 'node:path'
import {test} from 'node:test'

const checkout = resolve(import.meta.dirname, '..')

/** Names of environment variables, which look like codes. */
const variables =
  /^RKT_(APP|CNI_TIMEOUT|EXPERIMENT_\w+|HYPERVISOR_\w+|LAUNCH|LOCK_FD|POD|SELINUX_\w+|STAGE1_ENTER\w+|STAGE1_FLAVOR|TEST_\w+)$/

/** The codes that the sources make, their tests left out. */
function codesOfSources(): Set<string> {
  const files = globSync(['src/**/*.ts', 'plugins/*/src/**/*.ts', 'crates/*/src/**/*.rs'], {cwd: checkout}).filter(
    (file) => !/\.test\.ts$|generated/.test(file),
  )
  const found = files.flatMap((file) => {
    const text = readFileSync(resolve(checkout, file), 'utf8')
    const code = file.endsWith('.rs') ? (text.split('#[cfg(test)]')[0] ?? '') : text
    return [...code.matchAll(/['"](RKT_[A-Z\d_]+)['"]/g)].map(([, name = '']) => name)
  })
  return new Set(found.filter((name) => !variables.test(name)))
}

test('every code of a failure is documented in docs/errors.md, and nothing else is', () => {
  const documented = new Set(
    [...readFileSync(resolve(checkout, 'docs/errors.md'), 'utf8').matchAll(/`(RKT_[A-Z\d_]+)`/g)].map(([, name = '']) => name),
  )

  const made = codesOfSources()

  assert.ok(made.size > 50, `${made.size} codes found`)
  assert.deepEqual([...made].filter((code) => !documented.has(code)).sort(), [], 'not documented')
  assert.deepEqual([...documented].filter((code) => !made.has(code)).sort(), [], 'documented, but nobody makes it')
})

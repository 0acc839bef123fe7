/**
 * npm run ready: what a change must pass before it is shown to anybody. Format, lint, types, the arrows between rooms, clippy with
 * warnings denied, then every test. All checks run even if one fails; the last lines say which.
 *
 *   npm run ready -- --no-tests    the checks alone
 */
import {spawnSync} from 'node:child_process'
import {checkout} from './steps.ts'

const node = process.execPath
const checks: readonly (readonly [string, readonly string[]])[] = [
  ['format and lint (TypeScript)', ['node_modules/.bin/biome', 'ci', '.']],
  ['types', ['node_modules/.bin/tsc', '--noEmit']],
  ['imports', [node, 'scripts/check-imports.ts']],
  ['format (Rust)', ['cargo', 'fmt', '--all', '--check']],
  ['lint (Rust)', ['cargo', 'clippy', '--workspace', '--all-targets', '--quiet', '--', '--deny', 'warnings']],
]
const tests: readonly (readonly [string, readonly string[]])[] = process.argv.includes('--no-tests')
  ? []
  : [['tests', [node, ...process.execArgv, 'scripts/test.ts']]]

const failed: string[] = []
for (const [name, [program = '', ...args]] of [...checks, ...tests]) {
  console.log(`\nready: ${name} ...`)
  const {error, status} = spawnSync(program, args, {cwd: checkout, stdio: 'inherit'})
  if (error !== undefined || status !== 0) failed.push(name)
}
if (failed.length > 0) {
  console.error(`\nready: not yet: ${failed.join(', ')}`)
  process.exitCode = 1
} else console.log('\nready: everything passed')

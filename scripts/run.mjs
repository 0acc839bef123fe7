/**
 * Runs one of the project's scripts on the checkout's own Node, whatever Node started this: node scripts/run.mjs FILE ARGS...
 * `@rkt/engine` means the sources there, as for a plugin that runs unbuilt.
 */
import {spawn} from 'node:child_process'
import {existsSync} from 'node:fs'
import {constants} from 'node:os'
import {join, resolve} from 'node:path'
import {pathToFileURL} from 'node:url'

const checkout = resolve(import.meta.dirname, '..')
const node = join(checkout, 'node_modules/.bin/node')
if (!existsSync(node)) {
  console.error('run: the checkout has no Node of its own yet; run "npm run setup" first.')
  process.exit(1)
}
const hooks = pathToFileURL(join(checkout, 'src/cli/engine-hooks.ts')).href
const child = spawn(node, ['--import', hooks, ...process.argv.slice(2)], {cwd: checkout, stdio: 'inherit'})
// A terminal sends SIGINT to the whole group: the script decides what it means, and this process waits for it.
process.on('SIGINT', () => {})
for (const signal of /** @type {const} */ (['SIGHUP', 'SIGTERM'])) process.on(signal, () => child.kill(signal))
child.on('exit', (status, signal) => {
  process.exitCode = signal ? 128 + constants.signals[signal] : (status ?? 1)
})

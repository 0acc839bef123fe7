/**
 * npm run test:guest: tests of rkt on hosts that this machine is not. Slow (an emulated processor); no part of CI.
 *
 *   npm run test:guest                      a pure cgroup version 2 without systemd, then systemd as pid 1
 *   npm run test:guest -- --only=version-2  one of them: version-2 or systemd
 *   npm run test:guest -- FILE...           these test files on version 2, instead of the usual ones
 */
import {copyFileSync, globSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {checkout, compileProgram} from '../functional/harness/index.ts'
import {boot} from './machine.ts'

const {positionals, values} = parseArgs({allowPositionals: true, options: {only: {type: 'string'}}})
const node = join(checkout, 'node_modules/.bin/node')
const here = join(checkout, 'test/guest')
const usual = ['isolators', 'pods.test', 'seccomp', 'security', 'services', 'private-users'].map((name) => `test/functional/${name}`)
/** The emulated machine is so many times slower. */
const patience = ['env', 'RKT_TEST_PATIENCE=10']

const stages: Record<string, () => Promise<number>> = {
  systemd: async () =>
    await boot([`${here}/systemd.sh`, checkout], {minutes: 30, parameters: 'systemd.unified_cgroup_hierarchy=1 systemd.show_status=0'}),
  'version-2': async () => {
    const [crate = ''] = globSync(join(checkout, 'target/debug/deps/pods-????????????????')).sort()
    const rust = await boot([`${here}/version-2.sh`, checkout, crate, '--test-threads=2'], {minutes: 15})
    const files = positionals.length > 0 ? positionals : usual
    const tests = [...patience, node, 'scripts/run.mjs', 'scripts/test.ts', '--part=functional', ...files]
    return rust || (await boot([`${here}/version-2.sh`, checkout, ...tests], {minutes: 90}))
  },
}

mkdirSync(join(checkout, '.cache/guest'), {recursive: true})
copyFileSync(compileProgram('services'), join(checkout, '.cache/guest/services'))
for (const [name, run] of Object.entries(stages).reverse()) {
  if (values.only !== undefined && values.only !== name) continue
  console.log(`\n=== guest: ${name}\n`)
  const status = await run()
  console.log(`\nguest: ${name} ended with ${status}`)
  if (status !== 0) process.exitCode = 1
}

/**
 * npm run test:guest: tests of rkt on hosts that this machine is not. Slow (an emulated processor); no part of CI.
 *
 *   npm run test:guest                      a pure cgroup version 2 without systemd, then SELinux, then systemd as pid 1
 *   npm run test:guest -- --only=version-2  one of them: version-2, selinux or systemd
 *   npm run test:guest -- FILE...           these test files on version 2, instead of the usual ones and the Rust tests
 */
import {execFileSync} from 'node:child_process'
import {copyFileSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {checkout, compileProgram} from '../functional/harness/index.ts'
import {boot, fetchPolicy} from './machine.ts'

const {positionals, values} = parseArgs({allowPositionals: true, options: {only: {type: 'string'}}})
const node = join(checkout, 'node_modules/.bin/node')
const here = join(checkout, 'test/guest')
const names = ['isolators', 'networks-ports', 'oci.test', 'pods.test', 'private-users', 'seccomp', 'security', 'services']
const usual = names.map((name) => `test/functional/${name}`)
/** The emulated machine is so many times slower. */
const patience = ['env', 'RKT_TEST_PATIENCE=10']
/** Rust tests with a claim on the kernel. */
const crates = ['stage1/tests/pods.rs', 'sandbox/tests/devices.rs', 'net/tests/bridge.rs', 'net/tests/chained.rs', 'net/tests/portmap.rs']

/** The executables of Rust tests by their source, built if they are not. */
function rustTests(): Map<string, string> {
  const words = ['test', '--quiet', '--no-run', '--message-format=json', '-p=stage1', '-p=sandbox', '-p=net']
  const lines = execFileSync('cargo', words, {cwd: checkout, encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'inherit']})
  const messages = lines.split('\n').filter((line) => line.startsWith('{'))
  return new Map(
    messages.flatMap((line) => {
      const {executable, target} = JSON.parse(line)
      return typeof executable === 'string' ? [[target.src_path.replace(`${checkout}/crates/`, ''), executable]] : []
    }),
  )
}

const onVersion2 = async (minutes: number, command: readonly string[], parameters = '') =>
  await boot([`${here}/version-2.sh`, checkout, ...command], {minutes, parameters})

const functional = (file: string) => [...patience, node, 'scripts/run.mjs', 'scripts/test.ts', '--part=functional', file]

const stages: Record<string, () => Promise<number>> = {
  systemd: async () =>
    await boot([`${here}/systemd.sh`, checkout], {minutes: 30, parameters: 'systemd.unified_cgroup_hierarchy=1 systemd.show_status=0'}),
  selinux: async () => {
    fetchPolicy()
    return await onVersion2(30, functional('test/functional/selinux'), 'security=selinux selinux=1')
  },
  'version-2': async () => {
    let worst = 0
    const programs = positionals.length > 0 ? new Map() : rustTests()
    for (const source of crates.filter((name) => programs.has(name))) {
      console.log(`\n=== guest: ${source}\n`)
      worst = Math.max(worst, await onVersion2(15, [programs.get(source), '--nocapture', '--test-threads=2']))
    }
    for (const file of positionals.length > 0 ? positionals : usual) {
      console.log(`\n=== guest: ${file}\n`)
      worst = Math.max(worst, await onVersion2(90, functional(file)))
    }
    return worst
  },
}

mkdirSync(join(checkout, '.cache/guest'), {recursive: true})
copyFileSync(compileProgram('services'), join(checkout, '.cache/guest/services'))
const only = values.only ?? (positionals.length > 0 ? 'version-2' : undefined)
for (const [name, run] of Object.entries(stages).reverse()) {
  if (only !== undefined && only !== name) continue
  console.log(`\n=== guest: ${name}\n`)
  const status = await run()
  console.log(`\nguest: ${name} ended with ${status}`)
  if (status !== 0) process.exitCode = 1
}

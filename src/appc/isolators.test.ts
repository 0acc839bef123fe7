import assert from 'node:assert/strict'
import {test} from 'node:test'

import {type JsonValue, lastIsolator, makeIsolator, parseImageManifest, parsePodManifest, unknownIsolators} from './index.ts'

/** The image manifest of an app with these isolators. */
function imageWith(isolators: readonly unknown[]) {
  const app = {group: '0', isolators, user: '0'}
  return parseImageManifest(JSON.stringify({acKind: 'ImageManifest', acVersion: '0.8.11', app, name: 'a'}), 'a test')
}

function podWith(isolators: readonly unknown[], apps: readonly unknown[] = []) {
  return parsePodManifest(JSON.stringify({acKind: 'PodManifest', acVersion: '0.8.11', apps, isolators}), 'a test')
}

const VALID: readonly [name: string, ...values: unknown[]][] = [
  ['resource/cpu', {}, {limit: '1'}, {request: '250m', limit: ' 500m '}, {limit: 2}, {limit: null}, {default: false, limit: 1}],
  ['resource/memory', {limit: '1G'}, {LIMIT: '1G', Request: '5Mi'}, {limit: 1e21}],
  ['resource/block-bandwidth', {default: true, limit: '2M'}, {default: true}],
  ['resource/block-iops', {default: true, limit: '1k'}],
  ['resource/network-bandwidth', {default: true, limit: '1G'}],
  ['os/linux/capabilities-retain-set', {set: ['CAP_NET_ADMIN', 'CAP_PONIES']}],
  ['os/linux/capabilities-remove-set', {set: ['CAP_CHOWN']}],
  ['os/linux/seccomp-retain-set', {set: ['@appc.io/all']}, {set: ['read'], errno: 'ENOSYS'}, {set: ['read'], errno: ''}],
  ['os/linux/seccomp-remove-set', {set: ['reboot'], errno: 'E2BIG'}],
  ['os/linux/no-new-privileges', true, false],
  ['os/linux/oom-score-adj', -1000, 0, 1000],
  ['os/linux/cpu-shares', 2, 262144],
  ['os/linux/selinux-context', {level: 's0:c1,c2', role: 'r', type: 't', user: 'u'}],
  ['os/linux/apparmor-profile', {profile: 'docker-default'}],
  ['os/unix/sysctl', {}, {'net.core.somaxconn': '512'}],
]

for (const [name, ...values] of VALID) {
  test(`${name} takes ${values.map((value) => JSON.stringify(value)).join(', ')}`, () => {
    for (const value of values) {
      assert.deepEqual(imageWith([{name, value}]).app?.isolators, [{name, value}])
      assert.deepEqual(podWith([{name, value}]).isolators, [{name, value}])
      assert.deepEqual(makeIsolator(name, value as JsonValue), {name, value})
    }
  })
}

const INVALID: readonly [name: string, value: unknown, problem: string][] = [
  ['resource/cpu', '1', 'must be an object, not the string "1"'],
  ['resource/cpu', {default: true}, 'default: must not be true'],
  ['resource/cpu', {default: 'no'}, 'default: must be true or false, not the string "no"'],
  ['resource/memory', {limit: '1K'}, `limit: "1K" is not a quantity: unable to parse quantity's suffix`],
  ['resource/memory', {request: ['1']}, 'request: must be a quantity, not a list'],
  ['resource/block-bandwidth', {limit: '2M'}, 'default: must be true'],
  ['resource/block-iops', {default: true, request: '1'}, 'request: must be absent'],
  ['resource/network-bandwidth', {default: false}, 'default: must be true'],
  ['os/linux/capabilities-retain-set', {set: []}, 'set must be non-empty'],
  ['os/linux/capabilities-retain-set', {}, 'set must be non-empty'],
  ['os/linux/capabilities-remove-set', {set: 'CAP_CHOWN'}, 'set: must be a list, not the string "CAP_CHOWN"'],
  ['os/linux/capabilities-remove-set', {set: [1]}, 'set[0]: must be a string, not the number 1'],
  ['os/linux/seccomp-retain-set', {set: []}, 'set must be non-empty'],
  ['os/linux/seccomp-retain-set', {errno: 'PERM', set: ['read']}, "errno must start with an 'E' character, got PERM"],
  ['os/linux/seccomp-remove-set', {errno: 'Eperm', set: ['read']}, 'errno can only contain upper case or numeric characters, got Eperm'],
  ['os/linux/seccomp-remove-set', {errno: 1, set: ['read']}, 'errno: must be a string, not the number 1'],
  ['os/linux/no-new-privileges', 'true', 'must be true or false, not the string "true"'],
  ['os/linux/oom-score-adj', -1001, 'os/linux/oom-score-adj must be between -1000 and 1000, got -1001'],
  ['os/linux/oom-score-adj', 1001, 'os/linux/oom-score-adj must be between -1000 and 1000, got 1001'],
  ['os/linux/oom-score-adj', '5', 'must be an integer, not the string "5"'],
  ['os/linux/cpu-shares', 1, 'os/linux/cpu-shares must be between 2 and 262144, got 1'],
  ['os/linux/cpu-shares', 262145, 'os/linux/cpu-shares must be between 2 and 262144, got 262145'],
  ['os/linux/cpu-shares', 2.5, 'must be an integer, not 2.5'],
  ['os/linux/selinux-context', {level: 's0', role: 'r', type: 't'}, 'user: must not be empty'],
  ['os/linux/selinux-context', {level: 's0', role: 'r:r', type: 't', user: 'u'}, 'role: must not contain ":"'],
  ['os/linux/selinux-context', {role: 'r', type: 't', user: 'u'}, 'level: must not be empty'],
  ['os/linux/apparmor-profile', {}, 'profile: must not be empty'],
  ['os/unix/sysctl', {'net.core.somaxconn': 512}, '["net.core.somaxconn"]: must be a string, not the number 512'],
  ['os/unix/sysctl', [], 'must be an object, not a list'],
]

for (const [name, value, problem] of INVALID) {
  test(`${name} refuses ${JSON.stringify(value)}: ${problem}`, () => {
    const at = /^(?:\w+(?:\[\d+\])?: )/.test(problem) ? '.' : problem.startsWith('[') ? '' : ': '
    assert.throws(() => imageWith([{name, value}]), {
      code: 'RKT_MANIFEST_INVALID',
      message: `invalid image manifest of a test: app.isolators[0].value${at}${problem}`,
    })
    assert.throws(() => podWith([{name, value}]), {message: `invalid pod manifest of a test: isolators[0].value${at}${problem}`})
    assert.throws(() => makeIsolator(name, value as JsonValue), {code: 'RKT_BAD_ISOLATOR', message: problem})
  })
}

test('a value must be there, also of an isolator that nobody knows', () => {
  for (const name of ['resource/cpu', 'example.com/unknown']) {
    for (const isolator of [{name}, {name, value: null}]) {
      assert.throws(() => imageWith([isolator]), {message: /app\.isolators\[0\]\.value: must be set$/})
    }
  }
})

test('an integer is one as it is written: 1e3 and 5.0 are not', () => {
  const shares = (text: string) =>
    parsePodManifest(`{"acKind":"PodManifest","isolators":[{"name":"os/linux/cpu-shares","value":${text}}]}`, 'a test')

  assert.throws(() => shares('1e3'), {message: /must be an integer, not 1e3$/})
  assert.throws(() => shares('5.0'), {message: /must be an integer, not 5\.0$/})
  assert.throws(() => shares('9007199254740993'), {message: /must be between 2 and 262144, got 9007199254740993$/})
})

test('an app has at most one of some isolators, a pod is not counted', () => {
  const single = VALID.slice(7)
    .filter(([name]) => name !== 'os/linux/no-new-privileges')
    .map(([name, value]) => ({name, value}))
  assert.equal(single.length, 7)
  for (const isolator of single) {
    const message = `invalid image manifest of a test: app.isolators[1]: only one isolator ${isolator.name} is allowed`
    assert.throws(() => imageWith([isolator, isolator]), {message})
    assert.equal(podWith([isolator, isolator]).isolators?.length, 2)
  }
})

test('of the others an app may have several, and the last one counts', () => {
  const memory = (limit: string) => ({name: 'resource/memory', value: {limit}})
  const image = imageWith([memory('1G'), memory('2G')])

  assert.deepEqual(lastIsolator(image.app?.isolators, 'resource/memory')?.value, {limit: '2G'})
  assert.equal(lastIsolator(image.app?.isolators, 'resource/cpu'), undefined)
})

test('the two filters of system calls exclude each other', () => {
  const filters = ['retain', 'remove'].map((mode) => ({name: `os/linux/seccomp-${mode}-set`, value: {set: ['read']}}))

  for (const isolators of [filters, filters.toReversed()]) {
    assert.throws(() => imageWith(isolators), {message: /app\.isolators\[1\]: os\/linux\/seccomp-\w+-set cannot stand together with /})
  }
})

test('unknown isolators are kept and can be told of', () => {
  const unknown = [
    {name: 'example.com/z', value: {deep: [1, {x: null}]}},
    {name: 'example.com/a', value: 0},
    {name: 'example.com/z', value: ''},
    {name: 'resource/cpu', value: {limit: '1'}},
  ]
  const image = imageWith(unknown)
  const pod = podWith([unknown[0]], [{app: {group: '0', isolators: [unknown[1]], user: '0'}, name: 'a'}])

  assert.deepEqual(image.app?.isolators, unknown)
  assert.deepEqual(unknownIsolators(image), ['example.com/a', 'example.com/z'])
  assert.deepEqual(unknownIsolators(pod), ['example.com/a', 'example.com/z'])
  assert.deepEqual(unknownIsolators(imageWith([])), [])
})

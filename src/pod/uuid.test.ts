import assert from 'node:assert/strict'
import {test} from 'node:test'
import {isPodUuid, matchUuid, type PodUuid, randomPodUuid} from './uuid.ts'

const first = '71a713a3-c583-4798-85a2-f8a7e602aac9' as PodUuid
const second = '71a713a4-0000-4000-8000-000000000000' as PodUuid

test('a prefix of one UUID means that pod, in either case', () => {
  assert.equal(matchUuid('71A713A3', [first, second]), first)
  assert.equal(matchUuid(second, [first, second]), second)
})

test('a pod that is seen in two directories while it moves is one pod', () => {
  assert.equal(matchUuid('71a713a3', [first, first]), first)
})

test('what is no prefix of exactly one UUID is refused in the documented words', () => {
  assert.throws(() => matchUuid('', [first]), {code: 'RKT_POD_UUID_EMPTY', message: 'UUID cannot be empty'})
  assert.throws(() => matchUuid('zzz', [first]), {code: 'RKT_POD_NOT_FOUND', message: 'no matches found for "zzz"'})
  assert.throws(() => matchUuid('71a713a', [first, second]), {code: 'RKT_POD_UUID_AMBIGUOUS', message: 'ambiguous uuid, 2 matches'})
})

test('a new UUID is a random one of version 4', () => {
  const uuid = randomPodUuid()
  assert.ok(isPodUuid(uuid))
  assert.match(uuid, /^.{14}4.{4}[89ab]/)
  assert.notEqual(uuid, randomPodUuid())
})

test('upper case and other shapes are no names of pod directories', () => {
  for (const name of [first.toUpperCase(), first.slice(1), `${first}0`, first.replace('-', '_'), '..']) assert.ok(!isPodUuid(name), name)
})

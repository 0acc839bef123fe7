import assert from 'node:assert/strict'
import {test} from 'node:test'

import {newUuid, parseImageId, parseUuid} from './index.ts'

test('an image ID is sha512, one dash and a value of any length', () => {
  for (const text of ['sha512-ab', `sha512-${'0'.repeat(128)}`, 'sha512-not hex']) assert.equal(parseImageId(text), text)
})

test('what is no image ID is refused', () => {
  for (const text of ['', 'sha512', 'sha512-', 'sha256-ab', '-ab', 'SHA512-ab', 'sha512-ab-cd', 'sha512-not-existed']) {
    assert.throws(() => parseImageId(text), {code: 'RKT_BAD_IMAGE_ID', message: `"${text}" is not an image ID`})
  }
})

test('a UUID is 32 hex digits whatever dashes and case it has', () => {
  const canonical = '6733c088-a507-4694-aabf-edbe4fc5266f'
  for (const text of [canonical, canonical.toUpperCase(), canonical.replaceAll('-', ''), '67-33-c088a5074694aabfedbe4fc5266f-']) {
    assert.equal(parseUuid(text), canonical)
  }
})

test('what is no whole UUID, or all zeros, is refused', () => {
  for (const text of ['', '6733c088', '6733c088-a507-4694-aabf-edbe4fc5266', 'g733c088-a507-4694-aabf-edbe4fc5266f', '0'.repeat(32)]) {
    assert.throws(() => parseUuid(text), {code: 'RKT_BAD_UUID'})
  }
})

test('a new UUID is a fresh one of version 4 in canonical form', () => {
  const uuid = newUuid()

  assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(parseUuid(uuid), uuid)
  assert.notEqual(newUuid(), uuid)
})

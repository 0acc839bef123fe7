import assert from 'node:assert/strict'
import {test} from 'node:test'

import {checkOsArch, hostLabels, KNOWN_PLATFORMS, type Label, labelValue, parseAcIdentifier} from './index.ts'

const labels = (values: Readonly<Record<string, string>>): Label[] =>
  Object.entries(values).map(([name, value]) => ({name: parseAcIdentifier(name), value}))

test('this host runs images made for it', () => {
  const host = hostLabels()

  assert.deepEqual(
    host.map(({name}) => name),
    ['os', 'arch'],
  )
  assert.ok(KNOWN_PLATFORMS.get('linux')?.includes(labelValue(host, 'arch') ?? ''))
  checkOsArch(host)
})

test('an image must say which os and arch it is for', () => {
  assert.throws(() => checkOsArch(undefined), {code: 'RKT_BAD_PLATFORM', message: 'missing os label in the image manifest'})
  assert.throws(() => checkOsArch(labels({arch: 'amd64'})), {message: 'missing os label in the image manifest'})
  assert.throws(() => checkOsArch(labels({os: 'linux'})), {message: 'missing arch label in the image manifest'})
})

test('an image of another os or an unknown arch is refused', () => {
  assert.throws(() => checkOsArch(labels({arch: 'amd64', os: 'freebsd'})), {message: 'bad os "freebsd" (must be one of: [linux])'})
  assert.throws(() => checkOsArch(labels({arch: 'x86_64', os: 'linux'})), {
    message: 'bad arch "x86_64" for linux (must be one of: [amd64 i386 aarch64 aarch64_be armv6l armv7l armv7b ppc64le])',
  })
})

test('a label is looked up by name', () => {
  assert.equal(labelValue(labels({version: ''}), 'version'), '')
  assert.equal(labelValue(labels({version: '1'}), 'os'), undefined)
  assert.equal(labelValue(undefined, 'os'), undefined)
})

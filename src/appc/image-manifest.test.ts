import assert from 'node:assert/strict'
import {test} from 'node:test'

import {IMAGE, image, problem} from './fixtures.ts'

test('kind, version and name are all that an image must have', () => {
  assert.deepEqual(image({}), IMAGE)
  for (const field of ['acVersion', 'name'])
    assert.equal(
      problem(() => image({[field]: undefined})),
      `${field}: must be set`,
    )
})

test('the version must be one, and is canonical', () => {
  assert.equal(image({acVersion: '0.08.1'}).acVersion, '0.8.1')
  assert.equal(
    problem(() => image({acVersion: '1'})),
    'acVersion: "1" is not a version such as 0.8.11',
  )
  assert.equal(
    problem(() => image({acVersion: '0.0.0'})),
    'acVersion: the version "0.0.0" cannot be zero',
  )
})

test('the name must be an identifier', () => {
  assert.equal(image({name: 'a--b'}).name, 'a--b')
  assert.equal(
    problem(() => image({name: 'Example.com/a'})),
    'name: "Example.com/a" is not a valid identifier: ACIdentifier must be lower case alphanumeric characters plus "-._~/"',
  )
  assert.equal(
    problem(() => image({name: ''})),
    'name: "" is not a valid identifier: ACIdentifier cannot be empty',
  )
})

const labels = (values: Readonly<Record<string, string>>) => ({labels: Object.entries(values).map(([name, value]) => ({name, value}))})

test('labels have unique names, none of them "name", and any value', () => {
  assert.equal(image(labels({channel: '', version: 'ä b'})).labels?.[1]?.value, 'ä b')
  assert.equal(image({labels: [{name: 'x'}]}).labels?.[0]?.value, '')
  assert.equal(
    problem(() => image(labels({name: 'x'}))),
    'labels[0].name: a label must not be called "name"',
  )
  assert.equal(
    problem(() => image({labels: [{name: 'a'}, {name: 'b'}, {name: 'a'}]})),
    'labels[2].name: duplicate label "a"',
  )
})

test('an os label must be known, and with it the arch', () => {
  for (const [os, archs] of [
    ['linux', 'amd64 i386 aarch64 aarch64_be armv6l armv7l armv7b ppc64 ppc64le s390x'],
    ['freebsd', 'amd64 i386 arm'],
    ['darwin', 'x86_64 i386'],
  ] as const) {
    for (const arch of archs.split(' ')) assert.ok(image(labels({arch, os})))
    assert.equal(
      problem(() => image(labels({arch: 'arm64', os}))),
      `labels: bad arch "arm64" for ${os} (must be one of: [${archs}])`,
    )
  }
  assert.ok(image(labels({os: 'linux'})))
  assert.ok(image(labels({arch: 'whatever'})))
  assert.equal(
    problem(() => image(labels({os: 'Linux'}))),
    'labels: bad os "Linux" (must be one of: [darwin freebsd linux])',
  )
  assert.equal(
    problem(() => image(labels({arch: 'S390x', os: 'linux'}))),
    'labels: bad arch "S390x" for linux (must be one of: [amd64 i386 aarch64 aarch64_be armv6l armv7l armv7b ppc64 ppc64le s390x])',
  )
})

const annotation = (name: string, value: string) => ({annotations: [{name, value}]})

test('annotations have unique names, and three of them values of a form', () => {
  assert.ok(image(annotation('authors', 'any text')))
  assert.ok(image(annotation('created', '2016-04-01T19:12:03.447-07:00')))
  assert.ok(image(annotation('homepage', 'https://example.com')))
  assert.ok(image(annotation('documentation', 'http://example.com')))
  assert.equal(
    problem(() => image({annotations: [{name: 'a'}, {name: 'a'}]})),
    'annotations[1].name: duplicate annotation "a"',
  )
  assert.equal(
    problem(() => image(annotation('created', '2016-04-01 19:12:03Z'))),
    'annotations[0].value: created must be an RFC 3339 date such as 2016-04-01T19:12:03Z, not "2016-04-01 19:12:03Z"',
  )
  assert.equal(
    problem(() => image(annotation('homepage', 'ftp://example.com'))),
    'annotations[0].value: homepage must be an http or https URL, not "ftp://example.com"',
  )
  assert.equal(
    problem(() => image({annotations: [{name: 'documentation'}]})),
    'annotations[0].value: documentation must be an http or https URL, not ""',
  )
  assert.match(
    problem(() => image(annotation('A', ''))),
    /^annotations\[0\]\.name: "A" is not a valid identifier/,
  )
})

test('a dependency has a name, and perhaps an ID, labels and a size', () => {
  const dependency = {imageID: 'sha512-a', imageName: 'b', labels: [{name: 'version', value: '1'}], size: 5}

  assert.deepEqual(image({dependencies: [dependency]}).dependencies, [dependency])
  assert.equal(
    problem(() => image({dependencies: [{}]})),
    'dependencies[0].imageName: must be set',
  )
  assert.match(
    problem(() => image({dependencies: [{imageName: ''}]})),
    /^dependencies\[0\]\.imageName: "" is not a valid identifier/,
  )
  assert.equal(
    problem(() => image({dependencies: [{imageID: 'sha256-a', imageName: 'b'}]})),
    'dependencies[0].imageID: "sha256-a" is not an image ID: unknown hash type "sha256", expected "sha512"',
  )
  assert.equal(
    problem(() => image({dependencies: [{imageName: 'b', labels: [{name: 'os', value: 'plan9'}]}]})),
    'dependencies[0].labels: bad os "plan9" (must be one of: [darwin freebsd linux])',
  )
})

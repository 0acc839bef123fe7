import assert from 'node:assert/strict'
import {test} from 'node:test'
import {maxAgeOf} from './cache-control.ts'
import {formatDistributionPoint, parseDistributionPoint, parseImageReference} from './index.ts'
import {progressLine} from './progress.ts'

const references: [string, string, string][] = [
  ['sha512-abc', 'hash', 'sha512-abc'],
  ['/abs/app.aci', 'file', '/abs/app.aci'],
  ['./app.aci', 'file', `${process.cwd()}/app.aci`],
  ['app.aci', 'file', `${process.cwd()}/app.aci`],
  ['file:///abs/a%20b.aci', 'file', '/abs/a b.aci'],
  ['https://example.com/a.aci?x=1', 'url', 'https://example.com/a.aci?x=1'],
  ['example.com/app', 'name', 'example.com/app'],
  ['example.com/app:1.0,os=linux', 'name', 'example.com/app'],
  ['my-app:v1.0', 'name', 'my-app'],
  ['docker:busybox', 'docker', 'docker://busybox'],
  ['docker://quay.io/x/y:z', 'docker', 'docker://quay.io/x/y:z'],
  ['oci:dir', 'oci-image-layout', 'oci:dir'],
  ['cimd:aci-archive:v=0:file%3A%2F%2F%2Fabs%2Fapp', 'file', '/abs/app'],
  ['cimd:appc:v=0:coreos.com/etcd?version=v3', 'name', 'coreos.com/etcd'],
  ['cimd:docker:v=0:registry-1.docker.io/library/busybox:latest', 'docker', 'docker://registry-1.docker.io/library/busybox:latest'],
]
for (const [text, kind, target] of references) {
  test(`${text} is a ${kind}`, () => {
    const reference = parseImageReference(text)

    assert.equal(reference.kind, kind)
    const actual = reference.kind === 'file' ? reference.path : reference.kind === 'name' ? reference.name : reference.text
    assert.equal(actual, target)
  })
}

const refused: [string, RegExp][] = [
  ['/abs/app', /^invalid image string "file:\/\/\/abs\/app"$/],
  ['https://example.com/app', /^invalid image string "https:\/\/example.com\/app"$/],
  ['https://example.com/%zz.aci', /^failed to parse image url/],
  ['example.com/app,os=freebsd', /^invalid Appc distribution "example.com\/app,os=freebsd"$/],
  ['example.com/app,arch=x', /^invalid Appc distribution/],
  ['UPPER', /^invalid appc image string "UPPER"$/],
  ['a:1:2', /^invalid appc image string "a:1:2"$/],
  ['cimd:aci-archive:v=0:ftp%3A%2F%2Fx%2Fa.aci', /an unsupported URL scheme "ftp"/],
  ['cimd:aci-archive:v=0:no-scheme', /expected image URL "no-scheme" to contain a scheme/],
  ['cimd:surprise:v=0:x', /unknown distribution type: "surprise"/],
  ['cimd:appc:v=x:x', /malformed distribution uri/],
  ['cimd:appc', /malformed distribution uri/],
]
for (const [text, message] of refused) {
  test(`${text} is refused in the documented words`, () => {
    assert.throws(() => parseImageReference(text), {message})
  })
}

test('a name asks for an image of this host, unless its labels say otherwise', () => {
  const labelsOf = (text: string) => {
    const reference = parseImageReference(text)
    assert.ok(reference.kind === 'name')
    return Object.fromEntries(reference.labels.map(({name, value}) => [name, value]))
  }

  assert.equal(labelsOf('example.com/app').os, 'linux')
  assert.equal(labelsOf('example.com/app,arch=aarch64').arch, 'aarch64')
})

test('distribution points are written with their labels in order, and read back', () => {
  const uri = 'cimd:appc:v=0:coreos.com/etcd?arch=amd64&os=linux&version=v3.0.3%2B1'

  assert.equal(
    formatDistributionPoint(parseDistributionPoint('cimd:appc:coreos.com/etcd?version=v3'.replace('appc:', 'appc:0:'))),
    'cimd:appc:v=0:coreos.com/etcd?version=v3',
  )
  assert.equal(formatDistributionPoint(parseDistributionPoint(uri)), uri)
  assert.equal(
    formatDistributionPoint({type: 'aci-archive', url: 'file:///abs/app.aci'}),
    'cimd:aci-archive:v=0:file%3A%2F%2F%2Fabs%2Fapp.aci',
  )
})

test('Cache-Control gives seconds, the last directive deciding', () => {
  assert.deepEqual(
    [
      'max-age=60',
      'public, max-age=5',
      'max-age=060',
      'max-age=60, no-cache',
      'no-store, max-age=7',
      'max-age=-1',
      'private',
      undefined,
    ].map(maxAgeOf),
    [60, 5, 0, 0, 7, 0, 0, 0],
  )
})

test('progress is a bar on a terminal and numbers elsewhere', () => {
  assert.equal(progressLine('ACI', {done: 1_230_000, isTTY: false, seconds: 2, total: 4_560_000}), 'Downloading ACI:  1.23 MB/4.56 MB')
  assert.equal(progressLine('ACI', {done: 12, isTTY: true, total: null}), 'Downloading ACI: 12 B of an unknown total size')
  const bar = progressLine('ACI', {done: 50, isTTY: true, total: 100})
  assert.match(bar, /^Downloading ACI: \[=+ +\] 50 B\/100 B$/)
  assert.equal(bar.indexOf(']') - bar.indexOf('[') + 1, 80 - 'Downloading ACI'.length - 18)
})

test('rate and time left stand behind the bar, and the line fits into a terminal', () => {
  const line = (done: number, seconds: number) => progressLine('ACI', {done, isTTY: true, seconds, total: 999_000_000})
  assert.match(line(500_000_000, 10), /^Downloading ACI: \[=+ +\] 500 MB\/999 MB 50 MB\/s 10s$/)
  assert.match(line(1_110_000, 111), / 10 KB\/s 27h43m$/)
  assert.match(line(998_000_000, 1), / 998 MB\/s 1s$/)
  assert.doesNotMatch(line(500_000_000, 0.5), /\/s/)
  assert.ok(
    Math.max(
      ...[
        [1_230_000, 1.5],
        [123_000_000, 777],
        [11_100_000, 3],
      ].map(([done = 0, seconds = 0]) => line(done, seconds).length),
    ) <= 80,
  )
})

import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {encodeImageManifest, parseImageManifest} from '../appc/index.ts'
import {
  appcView,
  choosePlatform,
  type Digest,
  digestOf,
  formatReference,
  fullReference,
  type ImageIndex,
  parseConfig,
  parseDigest,
  parseDockerReference,
  parseDocument,
  typedHost,
} from './index.ts'

const digest = `sha256:${'ab'.repeat(32)}` as Digest
const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'

describe('a docker reference', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['busybox', 'registry-1.docker.io/library/busybox:latest', 'busybox'],
    ['busybox:1.36', 'registry-1.docker.io/library/busybox:1.36', 'busybox:1.36'],
    ['coreos/etcd', 'registry-1.docker.io/coreos/etcd:latest', 'coreos/etcd'],
    ['docker.io/library/busybox', 'registry-1.docker.io/library/busybox:latest', 'busybox'],
    ['index.docker.io/busybox', 'registry-1.docker.io/library/busybox:latest', 'busybox'],
    ['quay.io/coreos/etcd:v3', 'quay.io/coreos/etcd:v3', 'quay.io/coreos/etcd:v3'],
    ['localhost/a', 'localhost/a:latest', 'localhost/a'],
    ['localhost:5000/a/b:t', 'localhost:5000/a/b:t', 'localhost:5000/a/b:t'],
    [`localhost:5000/a@${digest}`, `localhost:5000/a@${digest}`, `localhost:5000/a@${digest}`],
    [`quay.io/a:tag@${digest}`, `quay.io/a@${digest}`, `quay.io/a@${digest}`],
    ['[::1]:5000/a', '[::1]:5000/a:latest', '[::1]:5000/a'],
  ]
  for (const [typed, full, short] of cases) {
    test(`${typed} is ${full}`, () => {
      const reference = parseDockerReference(typed)
      assert.equal(fullReference(reference), full)
      assert.equal(formatReference(reference), short)
    })
  }

  for (const typed of [
    '',
    '/redis',
    'UPPER',
    'a:',
    'a:b:c',
    'a@sha256:12',
    `a@${digest}@${digest}`,
    'a/../b',
    'http://x/y',
    'host.io/A',
    'x y',
    `a:${'t'.repeat(129)}`,
  ]) {
    test(`${JSON.stringify(typed.slice(0, 40))} is refused`, () => {
      assert.throws(() => parseDockerReference(typed), {code: 'RKT_BAD_IMAGE_REFERENCE'})
    })
  }
})

test('the host of a reference is known as it was typed', () => {
  const hosts = ['busybox', 'docker.io/library/busybox', 'localhost/a', 'quay.io:443/a@sha256:x'].map((typed) => typedHost({typed}))
  assert.deepEqual(hosts, ['registry-1.docker.io', 'docker.io', 'localhost', 'quay.io:443'])
})

describe('a digest', () => {
  test('is sha256 or sha512 in lower-case hex of the right length', () => {
    assert.equal(parseDigest(digest), digest)
    for (const text of [
      'sha256:',
      `sha256:${'AB'.repeat(32)}`,
      'md5:d41d8cd98f00b204e9800998ecf8427e',
      `sha512:${'ab'.repeat(32)}`,
      'x',
      `__proto__:${'a'.repeat(64)}`,
    ]) {
      assert.throws(() => parseDigest(text), {code: 'RKT_BAD_DIGEST'})
    }
  })

  test('of bytes follows the algorithm it is compared with', () => {
    assert.equal(digestOf(Buffer.from('{}')), 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a')
    assert.match(digestOf(Buffer.from('{}'), `sha512:${'0'.repeat(128)}`), /^sha512:/)
  })
})

describe('a document', () => {
  const descriptor = {digest, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', size: 10}
  const manifest = {
    config: {...descriptor, mediaType: 'application/vnd.oci.image.config.v1+json'},
    layers: [descriptor],
    mediaType: manifestType,
    schemaVersion: 2,
  }

  test('is a manifest or an index by its media type, or by its shape where it names none', () => {
    assert.equal(parseDocument(json(manifest), manifestType, 'x').kind, 'manifest')
    assert.equal(parseDocument(json({manifests: [], schemaVersion: 2}), null, 'x').kind, 'index')
  })

  const refused: readonly (readonly [string, unknown, string])[] = [
    ['that is both', {...manifest, manifests: []}, 'RKT_OCI_DOCUMENT_INVALID'],
    ['whose type is not the announced one', {...manifest, mediaType: indexType}, 'RKT_OCI_DOCUMENT_INVALID'],
    ['of schema 1', {fsLayers: [], schemaVersion: 1}, 'RKT_OCI_SCHEMA1'],
    ['without a config', {...manifest, config: undefined}, 'RKT_OCI_DOCUMENT_INVALID'],
    ['with a negative size', {...manifest, layers: [{...descriptor, size: -1}]}, 'RKT_OCI_DOCUMENT_INVALID'],
    ['with a size that is no number', {...manifest, layers: [{...descriptor, size: '1'}]}, 'RKT_OCI_DOCUMENT_INVALID'],
    ['with a bad digest', {...manifest, layers: [{...descriptor, digest: 'sha256:../../etc'}]}, 'RKT_OCI_DOCUMENT_INVALID'],
    ['that is a list', [], 'RKT_OCI_DOCUMENT_INVALID'],
  ]
  for (const [title, value, code] of refused) {
    test(`${title} is refused`, () => assert.throws(() => parseDocument(json(value), manifestType, 'the manifest of x'), {code}))
  }

  test('that is no JSON is refused, naming it', () => {
    assert.throws(() => parseDocument(Buffer.from('<html>'), manifestType, 'the manifest of x'), {
      message: 'the manifest of x is not valid: it is no JSON',
    })
  })
})

describe('the choice of a platform', () => {
  const entry = (os: string, architecture: string, variant?: string) => ({
    annotations: {},
    digest,
    mediaType: manifestType,
    platform: {architecture, os, ...(variant === undefined ? {} : {variant})},
    size: 1,
    urls: [],
  })
  const index = (...manifests: ImageIndex['manifests']): ImageIndex => ({annotations: {}, kind: 'index', manifests, mediaType: indexType})
  const amd64 = {architecture: 'amd64', os: 'linux'}

  test('prefers the best fit to the first', () => {
    const fit = entry('linux', 'x86_64')
    assert.equal(choosePlatform(index(entry('linux', '386'), entry('unknown', 'unknown'), fit), amd64, 'x'), fit)
  })

  test('passes over what the host cannot run', () => {
    assert.throws(() => choosePlatform(index(entry('windows', 'amd64'), entry('linux', 'amd64', 'v3')), amd64, 'x'), {
      code: 'RKT_NO_PLATFORM',
      hint: 'It has images for windows/amd64, linux/amd64/v3.',
    })
  })

  test('takes a lower variant of arm', () => {
    const fit = entry('linux', 'arm', 'v6')
    assert.equal(
      choosePlatform(
        index(entry('linux', 'arm', 'v8'), entry('linux', 'arm', 'v5'), fit),
        {architecture: 'arm', os: 'linux', variant: 'v7'},
        'x',
      ),
      fit,
    )
  })
})

describe('the appc view of an image', () => {
  const config = (process: unknown) =>
    parseConfig(json({architecture: 'amd64', config: process, os: 'linux', rootfs: {diff_ids: [digest], type: 'layers'}}), 'config')
  const identity = {host: 'localhost:5000', manifestDigest: digest, repository: 'web/app', tag: 'v1', typed: 'localhost:5000/web/app:v1'}

  test('is a valid manifest with what a pod needs', () => {
    const view = appcView(
      config({
        Cmd: ['-g'],
        Entrypoint: ['/srv'],
        Env: ['A=1', 'bad', 'A=2', 'B='],
        ExposedPorts: {'53/udp': {}, '8080/tcp': {}},
        User: 'web:www',
        Volumes: {'/data': {}, '/data/x': {}},
        WorkingDir: '/srv',
      }),
      identity,
    )

    assert.equal(encodeImageManifest(parseImageManifest(encodeImageManifest(view), 'view')), encodeImageManifest(view))
    assert.equal(view.name, 'localhost_5000/web/app')
    assert.deepEqual(
      view.labels?.map(({name, value}) => `${name}=${value}`),
      ['arch=amd64', 'os=linux', 'version=v1'],
    )
    assert.deepEqual(view.app?.exec, ['/srv', '-g'])
    assert.deepEqual([view.app?.user, view.app?.group], ['web', 'www'])
    assert.deepEqual(view.app?.environment, [
      {name: 'A', value: '2'},
      {name: 'B', value: ''},
    ])
    assert.deepEqual(
      view.app?.ports?.map(({name, port, protocol}) => `${name} ${protocol} ${port}`),
      ['53-udp udp 53', '8080-tcp tcp 8080'],
    )
    assert.deepEqual(view.app?.mountPoints, [
      {name: 'volume-data', path: '/data'},
      {name: 'volume-data-x', path: '/data/x'},
    ])
  })

  test('of an image without a process has no app', () => {
    assert.equal(appcView(config(undefined), {...identity, tag: null}).app, undefined)
  })

  test('runs as root where the image names no user', () => {
    assert.deepEqual([appcView(config({}), identity).app?.user, appcView(config({}), identity).app?.group], ['0', '0'])
  })
})

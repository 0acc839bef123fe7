import assert from 'node:assert/strict'
import {test} from 'node:test'

import {type Fields, POD, pod, podApp, problem} from './fixtures.ts'
import {encodePodManifest} from './index.ts'

test('a pod may be empty, and its version left out', () => {
  assert.deepEqual(pod({}), {...POD, apps: []})
  assert.deepEqual(pod({acVersion: undefined, apps: null}), {...POD, apps: []})
  assert.equal(
    problem(() => pod({acVersion: 'x'})),
    'acVersion: "x" is not a version such as 0.8.11',
  )
})

test('an absent list of a pod is told from an empty one', () => {
  const empty = {annotations: [], isolators: [], ports: [], volumes: []}

  assert.deepEqual(pod(empty), {...POD, apps: [], ...empty})
  assert.equal(
    encodePodManifest(pod({ports: []})),
    '{"acVersion":"0.8.11","acKind":"PodManifest","apps":null,"volumes":null,"isolators":null,"annotations":null,"ports":[]}',
  )
})

test('apps have unique names', () => {
  const apps = (...names: string[]) => pod({apps: names.map((name) => ({image: {id: 'sha512-a'}, name}))})

  assert.equal(apps('a', 'b').apps.length, 2)
  assert.equal(
    problem(() => apps('a', 'b', 'a')),
    'apps[2].name: duplicate app name "a"',
  )
  assert.match(
    problem(() => apps('a.b')),
    /^apps\[0\]\.name: "a\.b" is not a valid name/,
  )
  assert.equal(
    problem(() => pod({apps: [{image: {}}]})),
    'apps[0].name: must be set',
  )
})

test('an image of a template has no ID yet, and cannot be written so', () => {
  const template = podApp({image: {labels: [{name: 'version', value: 'latest'}], name: 'example.com/a'}})

  assert.deepEqual(template?.image, {labels: [{name: 'version', value: 'latest'}], name: 'example.com/a'})
  assert.deepEqual(podApp({image: null})?.image, {})
  assert.throws(() => encodePodManifest(pod({apps: [{name: 'a'}]})), {
    code: 'RKT_MANIFEST_INVALID',
    message: 'invalid pod manifest of pod: apps[0].image.id: must be set',
  })
})

test('the app of a pod is checked like that of an image', () => {
  assert.equal(
    problem(() => podApp({app: {user: '0'}})),
    'apps[0].app.group: must be set',
  )
  assert.equal(
    problem(() => podApp({image: {id: 'x'}})),
    'apps[0].image.id: "x" is not an image ID: an image ID is a hash type and a value with one "-" between them',
  )
  assert.equal(
    problem(() => podApp({image: {labels: [{name: 'name'}]}})),
    'apps[0].image.labels[0].name: a label must not be called "name"',
  )
  assert.equal(
    problem(() => podApp({annotations: [{name: 'a'}, {name: 'a'}]})),
    'apps[0].annotations[1].name: duplicate annotation "a"',
  )
})

test('a mount names a volume and a path, and may bring the volume', () => {
  const appVolume = {kind: 'host', name: 'v', source: '/x'}

  assert.deepEqual(podApp({mounts: [{appVolume, path: '/a', volume: 'v'}]})?.mounts, [{appVolume, path: '/a', volume: 'v'}])
  assert.equal(
    problem(() => podApp({mounts: [{path: '/a'}]})),
    'apps[0].mounts[0].volume: must be set',
  )
  assert.equal(
    problem(() => podApp({mounts: [{volume: 'v'}]})),
    'apps[0].mounts[0].path: must be set',
  )
  assert.equal(
    problem(() => podApp({mounts: [{appVolume: {kind: 'host', name: 'v'}, path: '/a', volume: 'v'}]})),
    'apps[0].mounts[0].appVolume: source for host volume cannot be empty',
  )
})

const volume = (fields: Fields) => pod({volumes: [{name: 'v', ...fields}]}).volumes?.[0]

test('a volume of the host has an absolute source and no mode or owners', () => {
  assert.deepEqual(volume({kind: 'host', source: '/x'}), {kind: 'host', name: 'v', source: '/x'})
  assert.deepEqual(volume({kind: 'host', readOnly: false, recursive: false, source: '/x'}), {
    kind: 'host',
    name: 'v',
    readOnly: false,
    recursive: false,
    source: '/x',
  })
  assert.equal(
    problem(() => volume({kind: 'host', source: 'x'})),
    'volumes[0]: source for host volume must be absolute path',
  )
  assert.equal(
    problem(() => volume({kind: 'host', mode: '0755', source: '/x'})),
    'volumes[0]: mode for host volume cannot be set',
  )
  assert.equal(
    problem(() => volume({gid: 0, kind: 'host', source: '/x'})),
    'volumes[0]: gid for host volume cannot be set',
  )
})

test('an empty volume is given a mode and owners', () => {
  assert.deepEqual(volume({kind: 'empty'}), {gid: 0, kind: 'empty', mode: '0755', name: 'v', uid: 0})
  assert.deepEqual(volume({gid: 2, kind: 'empty', mode: '1777', recursive: true, source: '', uid: 1}), {
    gid: 2,
    kind: 'empty',
    mode: '1777',
    name: 'v',
    recursive: true,
    uid: 1,
  })
  assert.equal(
    problem(() => volume({kind: 'empty', source: '/x'})),
    'volumes[0]: source for empty volume must be empty',
  )
  assert.equal(
    problem(() => volume({kind: 'empty', mode: '9'})),
    'volumes[0]: mode for empty volume must be octal digits',
  )
  assert.equal(
    problem(() => volume({kind: 'empty', uid: -1})),
    'volumes[0].uid: must be at least 0, not -1',
  )
})

test('volumes are of two kinds and have unique names', () => {
  assert.equal(
    problem(() => volume({kind: 'tmpfs'})),
    'volumes[0]: unrecognized volume kind: should be one of "empty", "host"',
  )
  assert.equal(
    problem(() => volume({})),
    'volumes[0].kind: must be set',
  )
  const twice = [
    {kind: 'empty', name: 'v'},
    {kind: 'empty', name: 'v'},
  ]
  assert.equal(
    problem(() => pod({volumes: twice})),
    'volumes[1].name: duplicate volume name "v"',
  )
})

test('a port of the host has a number, and perhaps an address and a port of the pod', () => {
  const port = (fields: Fields) => pod({ports: [{hostPort: 80, name: 'http', ...fields}]}).ports?.[0]
  const podPort = {name: 'http', port: 8080, protocol: 'tcp'}

  assert.deepEqual(port({}), {hostPort: 80, name: 'http'})
  assert.deepEqual(port({hostIP: '::1', podPort}), {
    hostIP: '::1',
    hostPort: 80,
    name: 'http',
    podPort: {...podPort, count: 1, socketActivated: false},
  })
  assert.equal(port({hostIP: ''})?.hostIP, undefined)
  assert.equal(
    problem(() => port({hostPort: null})),
    'ports[0].hostPort: must be set',
  )
  assert.equal(
    problem(() => port({hostPort: 0})),
    'ports[0].hostPort: must be at least 1, not 0',
  )
  assert.equal(
    problem(() => port({hostIP: 'localhost'})),
    'ports[0].hostIP: must be an IP address, not "localhost"',
  )
  assert.equal(
    problem(() => port({podPort: {...podPort, port: 65536}})),
    'ports[0].podPort.port: must be at most 65535, not 65536',
  )
})

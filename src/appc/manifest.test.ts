import assert from 'node:assert/strict'
import {test} from 'node:test'

import type {RktError} from '../errors.ts'
import {
  encodeImageManifest,
  encodePodManifest,
  lenientImageManifest,
  lenientPodManifest,
  parseImageManifest,
  parsePodManifest,
  probeManifest,
} from './index.ts'

type Fields = Readonly<Record<string, unknown>>

const IMAGE = {acKind: 'ImageManifest', acVersion: '0.8.11', name: 'example.com/a'}
const POD = {acKind: 'PodManifest', acVersion: '0.8.11'}
const APP = {group: '0', user: '0'}

const image = (fields: Fields) => parseImageManifest(JSON.stringify({...IMAGE, ...fields}), 'a.aci')
const app = (fields: Fields) => image({app: {...APP, ...fields}}).app
const pod = (fields: Fields) => parsePodManifest(JSON.stringify({...POD, ...fields}), 'pod.json')
const podApp = (fields: Fields) => pod({apps: [{image: {id: 'sha512-a'}, name: 'a', ...fields}]}).apps[0]

/** Where and why reading is refused. */
function problem(read: () => unknown): string {
  try {
    read()
  } catch (thrown) {
    const {code, message} = thrown as RktError
    assert.equal(code, 'RKT_MANIFEST_INVALID')
    return message.replace(/^invalid (?:image|pod) manifest of (?:a\.aci|pod\.json): /, '')
  }
  return assert.fail('was accepted')
}

const listOf = <T>(length: number, make: (index: number) => T): T[] => Array.from({length}, (_, index) => make(index))

// --- the document -----------------------------------------------------------------------------------------------------------

test('an error names the document, the field and the rule', () => {
  assert.throws(() => image({app: {...APP, environment: [{name: 'A'}, {name: 'B'}, {name: '1'}]}}), {
    code: 'RKT_MANIFEST_INVALID',
    message:
      'invalid image manifest of a.aci: app.environment[2].name: must begin with a letter or "_" and go on with letters, digits, "_", "." or "-", not "1"',
  })
})

test('a syntax error names the document and the place', () => {
  assert.throws(() => parseImageManifest('{\n  "acKind" "ImageManifest"}', 'a.aci'), {
    code: 'RKT_MANIFEST_SYNTAX',
    message: 'the manifest of a.aci is not JSON: line 2, column 12: expected ":", found "\\"": "acKind" >>>"<<<ImageManifest"}',
  })
})

test('what follows the manifest is refused', () => {
  assert.throws(() => parseImageManifest(`${JSON.stringify(IMAGE)}{}`, 'a.aci'), {code: 'RKT_MANIFEST_SYNTAX'})
  assert.equal(parseImageManifest(`\n${JSON.stringify(IMAGE)} \t\r\n`, 'a.aci').name, 'example.com/a')
})

test('a document of the other kind, or of none, is refused as such', () => {
  const refuses = (read: () => unknown, message: string) => assert.throws(read, {code: 'RKT_MANIFEST_KIND', message})
  const text = JSON.stringify

  refuses(
    () => parseImageManifest(text(POD), 'x'),
    'missing or bad acKind in the manifest of x: expected ImageManifest, it says the string "PodManifest"',
  )
  refuses(
    () => parsePodManifest(text(IMAGE), 'x'),
    'missing or bad acKind in the manifest of x: expected PodManifest, it says the string "ImageManifest"',
  )
  refuses(() => parseImageManifest('{}', 'x'), 'missing or bad acKind in the manifest of x: expected ImageManifest, it says none')
  refuses(() => parseImageManifest('[]', 'x'), 'missing or bad acKind in the manifest of x: expected ImageManifest, it says a list')
  refuses(
    () => parseImageManifest('{"acKind":5}', 'x'),
    'missing or bad acKind in the manifest of x: expected ImageManifest, it says the number 5',
  )
  refuses(() => probeManifest('{"acKind":""}', 'x'), 'missing or bad acKind in the manifest of x: expected manifest, it says the string ""')
})

test('the kind can be asked for without looking at the rest', () => {
  assert.equal(probeManifest('{"acKind":"ImageManifest","name":5}', 'x'), 'ImageManifest')
  assert.equal(probeManifest('{"ackind":"PodManifest"}', 'x'), 'PodManifest')
})

test('keys match in any case, the last one wins, unknown ones are dropped', () => {
  const text = '{"ACKIND":"ImageManifest","acversion":"1.0.0","name":"first","NAME":"second","Name":"third","extra":{"name":"x"}}'

  assert.deepEqual(parseImageManifest(text, 'x'), {acKind: 'ImageManifest', acVersion: '1.0.0', name: 'third'})
})

test('null is absent where a field is optional, and missing where it is not', () => {
  assert.deepEqual(image({annotations: null, app: null, dependencies: null, labels: null, pathWhitelist: null}), IMAGE)
  assert.equal(
    problem(() => image({name: null})),
    'name: must be set',
  )
  assert.equal(
    problem(() => image({acVersion: null})),
    'acVersion: must be set',
  )
  assert.equal(
    problem(() => image({labels: [{name: null, value: 'x'}]})),
    'labels[0].name: must be set',
  )
  assert.equal(
    problem(() => image({labels: [null]})),
    'labels[0]: must be an object, not null',
  )
  assert.equal(
    problem(() => image({pathWhitelist: [null]})),
    'pathWhitelist[0]: must be a string, not null',
  )
})

test('a wrong type is refused in words', () => {
  assert.equal(
    problem(() => image({name: 5})),
    'name: must be a string, not the number 5',
  )
  assert.equal(
    problem(() => image({labels: {}})),
    'labels: must be a list, not an object',
  )
  assert.equal(
    problem(() => image({app: 'x'})),
    'app: must be an object, not the string "x"',
  )
  assert.equal(
    problem(() => app({exec: '/bin/true'})),
    'app.exec: must be a list, not the string "/bin/true"',
  )
  assert.equal(
    problem(() => app({userLabels: {a: {}}})),
    'app.userLabels.a: must be a string, not an object',
  )
  assert.equal(
    problem(() => app({supplementaryGIDs: [1.5]})),
    'app.supplementaryGIDs[0]: must be an integer, not the number 1.5',
  )
  assert.equal(
    problem(() => podApp({readOnlyRootFS: 'true'})),
    'apps[0].readOnlyRootFS: must be true or false, not the string "true"',
  )
})

test('an integer beyond 2^53 or written as a fraction is refused, never rounded', () => {
  const size = (text: string) =>
    parseImageManifest(`${JSON.stringify(IMAGE).slice(0, -1)},"dependencies":[{"imageName":"b","size":${text}}]}`, 'a.aci')

  assert.equal(size('9007199254740991').dependencies?.[0]?.size, 9007199254740991)
  assert.equal(
    problem(() => size('9007199254740993')),
    'dependencies[0].size: must be an integer, not the number 9007199254740993',
  )
  assert.equal(
    problem(() => size('9007199254740992')),
    'dependencies[0].size: must be at most 9007199254740991, not 9007199254740992',
  )
  assert.equal(
    problem(() => size('1.0')),
    'dependencies[0].size: must be an integer, not the number 1.0',
  )
  assert.equal(
    problem(() => size('1e3')),
    'dependencies[0].size: must be an integer, not the number 1e3',
  )
  assert.equal(
    problem(() => size('-1')),
    'dependencies[0].size: must be at least 0, not -1',
  )
})

test('hostile keys neither pollute nor pass', () => {
  const text =
    '{"acKind":"ImageManifest","acVersion":"1.0.0","name":"a","__proto__":{"labels":5},"constructor":{"prototype":{"x":1}},"app":{"user":"0","group":"0","userLabels":{"__proto__":"x"},"isolators":[{"name":"a","value":{"__proto__":{"y":1}}}]}}'
  const manifest = parseImageManifest(text, 'x')

  assert.equal(manifest.labels, undefined)
  assert.deepEqual(Object.entries(manifest.app?.userLabels ?? {}), [['__proto__', 'x']])
  assert.equal(Object.getPrototypeOf(manifest.app?.userLabels), Object.prototype)
  assert.deepEqual(Object.keys(Object.prototype), [])
  assert.equal(
    encodeImageManifest(manifest),
    '{"acKind":"ImageManifest","acVersion":"1.0.0","name":"a","app":{"exec":null,"user":"0","group":"0","isolators":[{"name":"a","value":{"__proto__":{"y":1}}}],"userLabels":{"__proto__":"x"}}}',
  )
})

test('hostile texts reach a message short and without control characters', () => {
  const message = problem(() => image({labels: [{name: `\u001b[2J${'x'.repeat(100_000)}`, value: ''}]}))

  assert.ok(message.length < 300)
  assert.doesNotMatch(message, /[\u0000-\u001f]/)
})

test('names of megabytes are refused in no time', () => {
  const name = `${'a'.repeat(4_000_000)}-`
  const started = performance.now()

  assert.match(
    problem(() => image({name})),
    /must start and end with/,
  )
  assert.ok(performance.now() - started < 5000)
})

// --- the image manifest -------------------------------------------------------------------------------------------------------

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

// --- the app section ----------------------------------------------------------------------------------------------------------

test('an app must have a user and a group', () => {
  assert.deepEqual(app({}), {...APP, exec: []})
  for (const field of ['user', 'group']) {
    assert.equal(
      problem(() => app({[field]: null})),
      `app.${field}: must be set`,
    )
    assert.equal(
      problem(() => app({[field]: ''})),
      `app.${field}: must not be empty`,
    )
  }
})

test('exec may be absent, null, empty or relative', () => {
  for (const exec of [undefined, null, []]) assert.deepEqual(app({exec})?.exec, [])
  assert.deepEqual(app({exec: ['sh', '']})?.exec, ['sh', ''])
})

test('supplementary group IDs are those of the kernel', () => {
  assert.deepEqual(app({supplementaryGids: [0, 4294967294]})?.supplementaryGIDs, [0, 4294967294])
  assert.equal(
    problem(() => app({supplementaryGIDs: [-1]})),
    'app.supplementaryGIDs[0]: must be at least 0, not -1',
  )
  assert.equal(
    problem(() => app({supplementaryGIDs: [4294967295]})),
    'app.supplementaryGIDs[0]: must be at most 4294967294, not 4294967295',
  )
})

test('there are two event handlers, at most one of each', () => {
  const handlers = [
    {exec: ['/a'], name: 'pre-start'},
    {exec: [], name: 'post-stop'},
  ]
  assert.deepEqual(app({eventHandlers: [handlers[0], {name: 'post-stop'}]})?.eventHandlers, handlers)
  assert.equal(
    problem(() => app({eventHandlers: [handlers[0], handlers[0]]})),
    'app.eventHandlers[1].name: duplicate event handler "pre-start"',
  )
  assert.equal(
    problem(() => app({eventHandlers: [{name: 'on-fire'}]})),
    'app.eventHandlers[0].name: must be one of "pre-start","post-stop", not the string "on-fire"',
  )
  assert.equal(
    problem(() => app({eventHandlers: [{exec: []}]})),
    'app.eventHandlers[0].name: must be set',
  )
})

test('a working directory is absolute', () => {
  assert.equal(app({workingDirectory: '/srv'})?.workingDirectory, '/srv')
  assert.equal(app({workingDirectory: ''})?.workingDirectory, undefined)
  assert.equal(
    problem(() => app({workingDirectory: 'srv'})),
    'app.workingDirectory: must be an absolute path, not "srv"',
  )
})

test('environment variables have names of letters, digits, "_", "." and "-", each once', () => {
  assert.deepEqual(app({environment: [{name: '_a.B-9', value: '$X'}, {name: 'E'}]})?.environment, [
    {name: '_a.B-9', value: '$X'},
    {name: 'E', value: ''},
  ])
  for (const name of ['', '9', '.a', 'a=b', 'ä', 'a b'])
    assert.match(
      problem(() => app({environment: [{name}]})),
      /^app\.environment\[0\]\.name: must begin with/,
    )
  assert.equal(
    problem(() => app({environment: [{name: 'A'}, {name: 'A'}]})),
    'app.environment[1].name: duplicate environment variable "A"',
  )
})

test('a mount point has a name and a path', () => {
  const points = [{name: 'a', path: '/a', readOnly: true}]

  assert.deepEqual(app({mountPoints: points})?.mountPoints, points)
  assert.deepEqual(app({mountPoints: [{name: 'a', path: 'a', readOnly: false}]})?.mountPoints, [{name: 'a', path: 'a'}])
  assert.equal(
    problem(() => app({mountPoints: [{path: '/a'}]})),
    'app.mountPoints[0].name: must be set',
  )
  assert.equal(
    problem(() => app({mountPoints: [{name: 'a'}]})),
    'app.mountPoints[0].path: must be set',
  )
  assert.equal(
    problem(() => app({mountPoints: [{name: 'a', path: ''}]})),
    'app.mountPoints[0].path: must not be empty',
  )
  assert.match(
    problem(() => app({mountPoints: [{name: 'a.b', path: '/'}]})),
    /"a\.b" is not a valid name/,
  )
})

test('a port is a range that ends at 65535 or before', () => {
  const port = (fields: Fields) => app({ports: [{name: 'p', port: 80, protocol: 'tcp', ...fields}]})?.ports?.[0]

  assert.deepEqual(port({}), {count: 1, name: 'p', port: 80, protocol: 'tcp', socketActivated: false})
  assert.equal(port({count: 0})?.count, 1)
  assert.equal(port({count: 65456})?.count, 65456)
  assert.equal(port({protocol: null})?.protocol, '')
  assert.equal(
    problem(() => port({count: 65457})),
    'app.ports[0].count: end of port range must be in 1-65535 range',
  )
  assert.equal(
    problem(() => port({count: -1})),
    'app.ports[0].count: must be at least 0, not -1',
  )
  assert.equal(
    problem(() => port({port: 0})),
    'app.ports[0].port: must be at least 1, not 0',
  )
  assert.equal(
    problem(() => port({port: 65536})),
    'app.ports[0].port: must be at most 65535, not 65536',
  )
  assert.equal(
    problem(() => port({port: null})),
    'app.ports[0].port: must be set',
  )
})

// --- the pod manifest ---------------------------------------------------------------------------------------------------------

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
  const twice = listOf(2, () => ({kind: 'empty', name: 'v'}))
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

// --- writing ------------------------------------------------------------------------------------------------------------------

test('an invalid manifest cannot be written', () => {
  const valid = image({})

  assert.throws(() => encodeImageManifest({...valid, name: 'B' as typeof valid.name}), {
    code: 'RKT_MANIFEST_INVALID',
    message: /^invalid image manifest of image B: name: "B" is not a valid identifier/,
  })
  assert.throws(
    () =>
      encodeImageManifest({
        ...valid,
        annotations: [
          {name: valid.name, value: ''},
          {name: valid.name, value: ''},
        ],
      }),
    {
      message: /annotations\[1\]\.name: duplicate annotation/,
    },
  )
})

test('fields that are undefined are as good as absent', () => {
  const valid = image({})

  assert.equal(encodeImageManifest({...valid, app: undefined, labels: undefined}), encodeImageManifest(valid))
})

test('writing changes nothing that it was given', () => {
  const manifest = Object.freeze(pod({volumes: [{kind: 'empty', name: 'v'}]}))
  const before = structuredClone(manifest)

  encodePodManifest(manifest)
  assert.deepEqual(manifest, before)
})

// --- lenient reading ----------------------------------------------------------------------------------------------------------

test('the lenient image manifest keeps what is text', () => {
  const text =
    '{"acKind":"ImageManifest","acVersion":"x","NAME":"Not Valid","labels":[{"name":"version","value":"1"},{"name":5},7],"app":{"user":""}}'

  assert.deepEqual(lenientImageManifest(text), {
    acKind: 'ImageManifest',
    acVersion: 'x',
    labels: [
      {name: 'version', value: '1'},
      {name: '', value: ''},
      {name: '', value: ''},
    ],
    name: 'Not Valid',
  })
  assert.deepEqual(lenientImageManifest('{"acKind":"ImageManifest","labels":"x"}'), {
    acKind: 'ImageManifest',
    acVersion: '',
    labels: [],
    name: '',
  })
})

test('the lenient pod manifest keeps names and images of apps', () => {
  const text =
    '{"acKind":"PodManifest","apps":[{"name":"a","image":{"name":"A","id":"?","labels":[{"name":"version","value":"1"}]}},{"name":"a"},5],"volumes":7}'
  const nothing = {id: '', labels: [], name: ''}

  assert.deepEqual(lenientPodManifest(text), {
    acKind: 'PodManifest',
    acVersion: '',
    apps: [
      {image: {id: '?', labels: [{name: 'version', value: '1'}], name: 'A'}, name: 'a'},
      {image: nothing, name: 'a'},
      {image: nothing, name: ''},
    ],
  })
})

test('lenient reading still asks for JSON of its kind', () => {
  assert.throws(() => lenientImageManifest('{'), {code: 'RKT_MANIFEST_SYNTAX'})
  assert.throws(() => lenientImageManifest('{"acKind":"PodManifest"}'), {code: 'RKT_MANIFEST_KIND'})
  assert.throws(() => lenientPodManifest('{"acKind":"ImageManifest"}'), {code: 'RKT_MANIFEST_KIND'})
})

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {APP, app, IMAGE, image, POD, pod, podApp, problem} from './fixtures.ts'
import {encodeImageManifest, encodePodManifest, parseImageManifest, parsePodManifest, probeManifest} from './index.ts'

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

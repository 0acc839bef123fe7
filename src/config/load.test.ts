import assert from 'node:assert/strict'
import {chmodSync, chownSync, mkdirSync, mkdtempDisposableSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {test} from 'node:test'

import {causeChain, RktError} from '../errors.ts'
import {type Config, configReport, fileOf, loadConfig} from './index.ts'

type Files = Readonly<Record<string, unknown>>

/** A configuration directory with these files; what is no text is written as JSON. */
function directoryOf(files: Files) {
  const directory = mkdtempDisposableSync(join(tmpdir(), 'rkt-config-'))
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory.path, name)
    mkdirSync(dirname(path), {recursive: true})
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  }
  return directory
}

function load(files: Files): Config {
  using directory = directoryOf(files)
  return loadConfig({local: directory.path})
}

/** What loading the files is refused with: messages from the outermost in, the directory's path as DIR. */
function refusal(files: Files): string[] {
  using directory = directoryOf(files)
  try {
    loadConfig({local: directory.path})
  } catch (thrown) {
    assert.ok(thrown instanceof RktError)
    assert.equal(thrown.code, 'RKT_CONFIG_INVALID')
    return causeChain(thrown).map((message) => message.replaceAll(directory.path, 'DIR'))
  }
  return assert.fail('was loaded')
}

function userOf({auth}: Config, domain: string): string | undefined {
  const entry = auth.get(domain)
  return entry?.type === 'basic' ? entry.credentials.user : undefined
}

const v1 = (rktKind: string, fields: object) => ({rktKind, rktVersion: 'v1', ...fields})
const basic = (domains: readonly string[], user = 'u') => v1('auth', {credentials: {password: 'p', user}, domains, type: 'basic'})
const docker = (registries: readonly string[], user = 'u') => v1('dockerAuth', {credentials: {password: 'p', user}, registries})

test('no directories, and directories that do not exist, are an empty configuration', () => {
  const empty = {auth: new Map(), dockerAuth: new Map(), paths: {}, stage1: {}}

  assert.deepEqual(loadConfig({}), empty)
  assert.deepEqual(loadConfig({local: '/nonexistent/rkt', system: '/nonexistent', user: ''}), empty)
})

test('each kind is read from its directory', () => {
  const aws = {accessKeyID: 'id', awsRegion: 'eu', secretAccessKey: 'secret'}
  const config = load({
    'auth.d/aws.json': v1('auth', {credentials: aws, domains: ['aws.example.com'], type: 'aws'}),
    'auth.d/basic.json': basic(['a.example.com', 'b.example.com']),
    'auth.d/docker.json': docker(['index.docker.io']),
    'auth.d/oauth.json': v1('auth', {credentials: {token: 't'}, domains: ['c.example.com'], type: 'oauth'}),
    'paths.d/paths.json': v1('paths', {data: '/data', 'stage1-images': '/images'}),
    'stage1.d/stage1.json': v1('stage1', {location: 'https://example.com/x.aci', name: 'example.com/x', version: '1.0'}),
  })

  const up = {password: 'p', user: 'u'}
  assert.deepEqual(config, {
    auth: new Map<string, unknown>([
      ['aws.example.com', {credentials: aws, type: 'aws'}],
      ['a.example.com', {credentials: up, type: 'basic'}],
      ['b.example.com', {credentials: up, type: 'basic'}],
      ['c.example.com', {credentials: {token: 't'}, type: 'oauth'}],
    ]),
    dockerAuth: new Map([['index.docker.io', up]]),
    paths: {data: '/data', stage1Images: '/images'},
    stage1: {location: 'https://example.com/x.aci', name: 'example.com/x', version: '1.0'},
  })
})

test('later directories override earlier ones key by key', () => {
  using system = directoryOf({
    'auth.d/a.json': basic(['one.example.com', 'two.example.com'], 'system'),
    'auth.d/d.json': docker(['r.example.com'], 'system'),
    'paths.d/p.json': v1('paths', {data: '/system', 'stage1-images': '/images'}),
    'stage1.d/s.json': v1('stage1', {location: '/system.aci', name: 'example.com/system', version: '1'}),
  })
  using local = directoryOf({
    'auth.d/a.json': basic(['two.example.com'], 'local'),
    'paths.d/p.json': v1('paths', {data: '/local'}),
    'stage1.d/s.json': v1('stage1', {name: 'example.com/local', version: '2'}),
  })
  using user = directoryOf({'auth.d/d.json': docker(['r.example.com'], 'user'), 'paths.d/p.json': v1('paths', {data: '/user'})})

  const config = loadConfig({local: local.path, system: system.path, user: user.path})

  assert.equal(userOf(config, 'one.example.com'), 'system')
  assert.equal(userOf(config, 'two.example.com'), 'local')
  assert.equal(config.dockerAuth.get('r.example.com')?.user, 'user')
  assert.deepEqual(
    [config.auth.get('one.example.com'), config.auth.get('two.example.com'), config.dockerAuth.get('r.example.com')].map(
      (entry) => entry && fileOf(entry),
    ),
    [join(system.path, 'auth.d/a.json'), join(local.path, 'auth.d/a.json'), join(user.path, 'auth.d/d.json')],
  )
  assert.deepEqual(config.paths, {data: '/user', stage1Images: '/images'})
  assert.deepEqual(config.stage1, {location: '/system.aci', name: 'example.com/local', version: '2'})
})

test('keys match in any case and unknown keys are ignored', () => {
  const config = load({'paths.d/p.json': {DATA: '/data', RKTKIND: 'paths', future: {}, rktversion: 'v1'}})

  assert.deepEqual(config.paths, {data: '/data'})
})

test('only regular files named *.json directly inside are read', () => {
  using directory = directoryOf({
    'elsewhere.json': 'not JSON',
    'paths.d/README': 'not JSON',
    'paths.d/backup.json~': 'not JSON',
    'paths.d/sub.json/p.json': 'not JSON',
  })
  symlinkSync(join(directory.path, 'elsewhere.json'), join(directory.path, 'paths.d/link.json'))

  assert.deepEqual(loadConfig({local: directory.path}).paths, {})
})

test('a sub-directory that is a file is refused', () => {
  assert.deepEqual(refusal({'paths.d': ''}), ['expected "DIR/paths.d" to be a directory'])
})

test('a file must say its kind and version', () => {
  assert.deepEqual(refusal({'paths.d/p.json': {}}), ['no rktKind specified in "DIR/paths.d/p.json"'])
  assert.deepEqual(refusal({'paths.d/p.json': {rktKind: 'paths'}}), ['no rktVersion specified in "DIR/paths.d/p.json"'])
  assert.deepEqual(refusal({'paths.d/p.json': {rktKind: 'paths', rktVersion: 'v2'}}), [
    'no parser available for configuration of kind "paths" and version "v2"',
  ])
})

test('a file must lie where its kind belongs', () => {
  assert.deepEqual(refusal({'auth.d/p.json': v1('paths', {data: '/x'})}), [
    String.raw`the configuration directory "DIR/auth.d" expects to have configuration files of kinds "auth\", \"dockerAuth", but "p.json" has kind of "paths"`,
  ])
  assert.deepEqual(refusal({'stage1.d/a.json': basic(['x'])}), [
    'the configuration directory "DIR/stage1.d" expects to have configuration files of kinds "stage1", but "a.json" has kind of "auth"',
  ])
})

const MISTAKES: readonly [directory: string, file: unknown, message: string][] = [
  ['auth.d', v1('auth', {}), 'no domains specified'],
  ['auth.d', v1('auth', {domains: []}), 'no domains specified'],
  ['auth.d', v1('auth', {domains: ['x']}), 'no auth type specified'],
  ['auth.d', v1('auth', {domains: ['x'], type: 'kerberos'}), 'unknown auth type: "kerberos"'],
  ['auth.d', v1('auth', {domains: ['x'], type: 'basic'}), 'user not specified'],
  ['auth.d', v1('auth', {credentials: {user: 'u'}, domains: ['x'], type: 'basic'}), 'password not specified'],
  ['auth.d', v1('auth', {credentials: {}, domains: ['x'], type: 'oauth'}), 'no oauth bearer token specified'],
  ['auth.d', v1('auth', {credentials: {}, domains: ['x'], type: 'aws'}), 'no AWS Access Key ID specified'],
  ['auth.d', v1('auth', {credentials: {accessKeyID: 'i'}, domains: ['x'], type: 'aws'}), 'no AWS Secret Access Key specified'],
  ['auth.d', v1('auth', {credentials: 'secret', domains: ['x'], type: 'aws'}), 'credentials must be an object'],
  ['auth.d', basic(['x', 'x']), 'auth for domain "x" is already specified'],
  ['auth.d', v1('dockerAuth', {}), 'no registries specified'],
  ['auth.d', v1('dockerAuth', {registries: ['r']}), 'user not specified'],
  ['auth.d', docker(['r', 'r']), 'credentials for docker registry "r" are already specified'],
  ['auth.d', v1('dockerAuth', {registries: 'r'}), 'registries must be a list of strings'],
  ['paths.d', v1('paths', {data: 'relative'}), 'data directory must be an absolute path'],
  ['paths.d', v1('paths', {'stage1-images': 'relative'}), 'stage1 images directory must be an absolute path'],
  ['paths.d', v1('paths', {data: 5}), 'data must be a string'],
  ['paths.d', [], 'the file must be an object'],
  ['stage1.d', v1('stage1', {version: '1'}), 'invalid stage1 configuration: default stage1 image version specified, but name is missing'],
  [
    'stage1.d',
    v1('stage1', {name: 'example.com/x'}),
    'invalid stage1 configuration: default stage1 image name specified, but version is missing',
  ],
  [
    'stage1.d',
    v1('stage1', {location: 'images/x.aci'}),
    'invalid stage1 configuration: default stage1 image location is either a relative path or a URL without scheme',
  ],
  [
    'stage1.d',
    v1('stage1', {location: 'http://u:secret@[/x'}),
    'invalid stage1 configuration: default stage1 image location is an invalid URL: http://[/x',
  ],
  [
    'stage1.d',
    v1('stage1', {location: 'ftp://example.com/x.aci'}),
    String.raw`invalid stage1 configuration: default stage1 image location URL has invalid scheme "ftp", allowed schemes are "docker\", \"file\", \"http\", \"https"`,
  ],
]

for (const [directory, file, message] of MISTAKES) {
  test(`a file of ${directory} is refused: ${message}`, () => {
    assert.deepEqual(refusal({[`${directory}/x.json`]: file}), [`failed to parse "DIR/${directory}/x.json"`, message])
  })
}

test('within one directory a key is set once, whichever file sets it', () => {
  const twice = (directory: string, one: unknown, two: unknown) => refusal({[`${directory}/1.json`]: one, [`${directory}/2.json`]: two})
  const stage1 = (fields: object) => v1('stage1', fields)

  assert.deepEqual(twice('auth.d', basic(['x']), basic(['y', 'x'])), [
    'failed to parse "DIR/auth.d/2.json"',
    'auth for domain "x" is already specified',
  ])
  assert.equal(twice('auth.d', docker(['r']), docker(['r']))[1], 'credentials for docker registry "r" are already specified')
  assert.equal(twice('paths.d', v1('paths', {data: '/a'}), v1('paths', {data: '/a'}))[1], 'data directory is already specified')
  const images = v1('paths', {'stage1-images': '/a'})
  assert.equal(twice('paths.d', images, images)[1], 'stage1 images directory is already specified')
  const named = stage1({name: 'example.com/x', version: '1'})
  assert.equal(twice('stage1.d', named, named)[1], 'name and version of a default stage1 image are already specified')
  const located = stage1({location: '/x.aci'})
  assert.equal(twice('stage1.d', located, located)[1], 'location of a default stage1 image is already specified')
})

test('a stage1 location is an absolute path or a URL of four schemes', () => {
  for (const location of ['/x.aci', 'docker://x', 'file:///x.aci', 'http://example.com/x.aci', 'https://example.com/x.aci']) {
    assert.equal(load({'stage1.d/s.json': v1('stage1', {location})}).stage1.location, location)
  }
})

test('a file that is not JSON is refused without showing what is in it', () => {
  const [message, reason = ''] = refusal({'auth.d/a.json': '{"password": hunter2}'})

  assert.equal(message, 'failed to parse "DIR/auth.d/a.json"')
  assert.match(reason, /not valid JSON$/)
  assert.doesNotMatch(reason, /hunter/)
})

test('a key __proto__ sets nothing', () => {
  const config = load({'paths.d/p.json': '{"rktKind":"paths","rktVersion":"v1","__proto__":{"data":"/evil"}}'})

  assert.deepEqual(config.paths, {})
  assert.equal(Object.hasOwn(Object.prototype, 'data'), false)
})

const asRoot = process.geteuid?.() === 0 ? {} : {skip: 'only root can own files as others'}

test('root refuses a file that another user owns or everybody can write', asRoot, () => {
  using directory = directoryOf({'paths.d/p.json': v1('paths', {data: '/x'})})
  const file = join(directory.path, 'paths.d/p.json')

  chownSync(file, 1000, 0)
  assert.throws(() => loadConfig({local: directory.path}), {
    code: 'RKT_CONFIG_UNSAFE',
    hint: `Run "chown root ${file}" and "chmod o-w ${file}" if you trust what is in it.`,
    message: `refusing configuration file "${file}": it is owned by user 1000, not by root`,
  })

  chownSync(file, 0, 0)
  chmodSync(file, 0o646)
  assert.throws(() => loadConfig({local: directory.path}), {
    code: 'RKT_CONFIG_UNSAFE',
    message: `refusing configuration file "${file}": it can be written by every user`,
  })

  chmodSync(file, 0o664)
  assert.deepEqual(loadConfig({local: directory.path}).paths, {data: '/x'})
})

test('root refuses a file in a directory that another user could fill', asRoot, () => {
  using directory = directoryOf({'paths.d/p.json': v1('paths', {data: '/x'})})
  const inner = join(directory.path, 'paths.d')

  chmodSync(inner, 0o777)
  assert.throws(() => loadConfig({local: directory.path}), {code: 'RKT_CONFIG_UNSAFE', message: /paths\.d" can be written by every user$/})

  chmodSync(inner, 0o2775)
  chownSync(directory.path, 1000, 0)
  assert.throws(() => loadConfig({local: directory.path}), {code: 'RKT_CONFIG_UNSAFE', message: /is owned by user 1000, not by root$/})

  chownSync(directory.path, 0, 1000)
  chmodSync(directory.path, 0o2775)
  assert.deepEqual(loadConfig({local: directory.path}).paths, {data: '/x'})
})

test('the report lists one entry a key, sorted, then paths and stage1, empty where unset', () => {
  const config = load({'auth.d/a.json': basic(['b.example.com', 'a.example.com']), 'auth.d/d.json': docker(['r'])})

  const credentials = {user: 'u', password: 'p'}
  assert.equal(
    JSON.stringify(configReport(config)),
    JSON.stringify({
      stage0: [
        {rktVersion: 'v1', rktKind: 'auth', domains: ['a.example.com'], type: 'basic', credentials},
        {rktVersion: 'v1', rktKind: 'auth', domains: ['b.example.com'], type: 'basic', credentials},
        {rktVersion: 'v1', rktKind: 'dockerAuth', registries: ['r'], credentials},
        {rktVersion: 'v1', rktKind: 'paths', data: '', 'stage1-images': ''},
        {rktVersion: 'v1', rktKind: 'stage1', name: '', version: '', location: ''},
      ],
    }),
  )
})

test('what the report says can be read again', () => {
  const config = load({
    'auth.d/a.json': v1('auth', {
      credentials: {accessKeyID: 'i', secretAccessKey: 's'},
      domains: ['x'],
      type: 'aws',
    }),
    'paths.d/p.json': v1('paths', {data: '/d'}),
    'stage1.d/s.json': v1('stage1', {name: 'example.com/s', version: '1'}),
  })
  const [auth, paths, stage1] = configReport(config).stage0

  assert.deepEqual(load({'auth.d/x.json': auth, 'paths.d/x.json': paths, 'stage1.d/x.json': stage1}), config)
})

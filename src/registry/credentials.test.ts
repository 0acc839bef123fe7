import assert from 'node:assert/strict'
import {chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, test} from 'node:test'
import {inspect} from 'node:util'
import type {BasicCredentials} from '../config/index.ts'
import {type CredentialQuery, openCredentials} from './credentials.ts'
import {type Credential, Secret} from './secret.ts'

let directory: string
let lines: string[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rkt-credentials-'))
  lines = []
})
afterEach(() => rmSync(directory, {recursive: true}))

const base64 = (text: string) => Buffer.from(text).toString('base64')
const put = (path: string, value: unknown, mode = 0o600) => {
  mkdirSync(join(directory, path, '..'), {recursive: true})
  writeFileSync(join(directory, path), typeof value === 'string' ? value : JSON.stringify(value), {mode})
  chmodSync(join(directory, path), mode)
  return join(directory, path)
}
const diagnostics = {debug: (_: string, line: string) => void lines.push(line), note: (_: string, line: string) => void lines.push(line)}

async function find(
  query: Partial<CredentialQuery>,
  {
    dockerAuth = new Map(),
    environment = {},
    uid,
  }: {dockerAuth?: Map<string, BasicCredentials>; environment?: Record<string, string>; uid?: number} = {},
): Promise<string | null> {
  const host = query.host ?? 'r.example'
  const credentials = openCredentials({
    diagnostics,
    dockerAuth,
    environment: {DOCKER_CONFIG: directory, PATH: directory, ...environment},
    ...(uid === undefined ? {} : {uid}),
  })
  return describeCredential(await credentials.find({host, repository: 'a/b', typedHost: host, ...query}))
}

function describeCredential(credential: Credential | null): string | null {
  if (credential === null) return null
  return credential.kind === 'basic'
    ? `${credential.user}:${credential.password.reveal()}`
    : `${credential.kind} ${credential.token.reveal()}`
}

const hub = {host: 'registry-1.docker.io', repository: 'library/busybox', typedHost: 'registry-1.docker.io'}

describe('credentials of files', () => {
  test('are those of Docker, by host or by the longest prefix of the repository', async () => {
    put('config.json', {
      auths: {
        'https://r.example/v1/': {auth: base64('all:1')},
        'r.example/a': {auth: base64('a:2:3')},
        'r.example/a/b': {password: '4', username: 'ab'},
      },
    })
    assert.equal(await find({repository: 'a/b'}), 'ab:4')
    assert.equal(await find({repository: 'a/bc'}), 'a:2:3')
    assert.equal(await find({repository: 'ab'}), 'all:1')
    assert.equal(await find({host: 'other.example'}), null)
    assert.equal(await find({host: 'r.example:5000'}), null)
  })

  test('know Docker Hub by any of its names', async () => {
    for (const key of ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io', 'docker.io/library']) {
      put('config.json', {auths: {[key]: {auth: base64('u:p')}}})
      assert.equal(await find(hub), 'u:p', key)
    }
  })

  test('may be identity and registry tokens', async () => {
    put('config.json', {auths: {'a.example': {auth: base64('u:'), identitytoken: 'I'}, 'b.example': {registrytoken: 'R'}}})
    assert.equal(await find({host: 'a.example'}), 'identity I')
    assert.equal(await find({host: 'b.example'}), 'bearer R')
  })

  test('come from rkt’s own configuration first, then the named file, Docker’s and podman’s', async () => {
    const file = put('named.json', {auths: {'b.example': {auth: base64('named:p')}}})
    put('config.json', {auths: {'b.example': {auth: base64('docker:p')}, 'c.example': {auth: base64('docker:p')}}})
    put('containers/auth.json', {auths: {'c.example': {auth: base64('podman:p')}, 'd.example': {auth: base64('podman:p')}}})
    const dockerAuth = new Map([['a.example', {password: 'p', user: 'own'}]])
    const look = (host: string) => find({host}, {dockerAuth, environment: {REGISTRY_AUTH_FILE: file, XDG_RUNTIME_DIR: directory}})
    assert.deepEqual(await Promise.all(['a', 'b', 'c', 'd'].map((name) => look(`${name}.example`))), [
      'own:p',
      'named:p',
      'docker:p',
      'podman:p',
    ])
  })

  test('of rkt’s configuration are for the host as it was typed', async () => {
    const dockerAuth = new Map([['docker.io', {password: 'p', user: 'u'}]])
    assert.equal(await find(hub, {dockerAuth}), null)
    assert.equal(await find({...hub, typedHost: 'docker.io'}, {dockerAuth}), 'u:p')
  })

  test('of another user, or writable by others, are not believed by root', {skip: process.getuid?.() !== 0 && 'needs root'}, async () => {
    const value = {auths: {'r.example': {auth: base64('u:p')}}}
    const path = put('config.json', value, 0o622)
    assert.equal(await find({}, {uid: 0}), null)
    chmodSync(path, 0o644)
    assert.equal(await find({}, {uid: 0}), 'u:p')
    chownSync(path, 1234, 1234)
    assert.equal(await find({}, {uid: 0}), null)
    assert.equal(await find({}, {uid: 1234}), 'u:p')
    assert.match(lines.join('\n'), /belongs to user 1234/)
  })

  test('that cannot be read count as absent, and are not quoted', async () => {
    for (const text of ['{"auths": {"r.example": {"auth": "s3cret', '[]', 'null', '{"auths":{"r.example":null}}', '']) {
      put('config.json', text)
      assert.equal(await find({}), null)
    }
    assert.match(lines.join('\n'), /it is no JSON/)
    assert.doesNotMatch(lines.join('\n'), /s3cret/)
  })

  test('a pipe in place of the file does not hold anybody up', async () => {
    const {execFileSync} = await import('node:child_process')
    execFileSync('mkfifo', [join(directory, 'config.json')])
    assert.equal(await find({}), null)
  })
})

describe('a credential helper', () => {
  const helper = (script: string, mode = 0o755) => put('docker-credential-test', `#!/bin/sh\n${script}\n`, mode)
  const withPath = {environment: {}}
  const look = (query: Partial<CredentialQuery> = {}) =>
    find(query, {environment: {...withPath.environment, PATH: `.:${directory}:/usr/bin:/bin`}})

  test('is asked for the host on its standard input', async () => {
    put('config.json', {auths: {'r.example': {auth: base64('file:p')}}, credHelpers: {'r.example': 'test'}})
    helper(`read server; [ "$1" = get ] && echo '{"ServerURL":"x","Username":"'$server'","Secret":"s"}'`)
    assert.equal(await look(), 'r.example:s')
  })

  test('for everything is asked for what the file does not say, and for Docker Hub by its old name', async () => {
    put('config.json', {auths: {'r.example': {}}, credsStore: 'test'})
    helper(`read server; echo '{"Username":"'$server'","Secret":"s"}'`)
    assert.equal(await look(), 'r.example:s')
    assert.equal(await look(hub), 'https://index.docker.io/v1/:s')
  })

  test('may give an identity token', async () => {
    put('config.json', {credsStore: 'test'})
    helper(`echo '{"Username":"<token>","Secret":"I"}'`)
    assert.equal(await look(), 'identity I')
  })

  test('that knows nothing is no failure; one that fails is said, without what it wrote', async () => {
    put('config.json', {credsStore: 'test'})
    helper('echo credentials not found in native keychain; exit 1')
    assert.equal(await look(), null)
    assert.deepEqual(lines, [])
    for (const script of ['echo s3cret; exit 3', 'echo {s3cret', 'echo \'{"Secret":"s3cret"}\'']) {
      helper(script)
      assert.equal(await look(), null)
    }
    assert.equal(lines.length, 3)
    assert.doesNotMatch(lines.join('\n'), /s3cret/)
  })

  test('that is no name of a program is not run', async () => {
    for (const name of ['../test', 'a/b', '-x', 'a b', '']) {
      put('config.json', {credsStore: name})
      assert.equal(await look(), null)
    }
    assert.match(lines.join('\n'), /"\.\.\/test" as a helper for credentials, which is no name of a program/)
  })

  test('that another user could have written is not run by root', {skip: process.getuid?.() !== 0 && 'needs root'}, async () => {
    put('config.json', {credsStore: 'test'})
    helper(`touch ${directory}/ran; echo '{"Username":"u","Secret":"s"}'`, 0o777)
    assert.equal(await look(), null)
    assert.match(lines.join('\n'), /could have been written by another user/)
  })

  test('that does not answer is given up', async () => {
    const {askHelper} = await import('./credential-helper.ts')
    helper('exec sleep 60')
    const environment = {PATH: `${directory}:/bin`}
    const answer = await askHelper('test', 'r.example', {diagnostics, environment, origin: 'x', timeoutMs: 100, uid: 1})
    assert.equal(answer, null)
    assert.match(lines.join('\n'), /no answer within 0\.1 seconds/)
  })
})

test('a secret shows in no text', () => {
  const secret = {password: new Secret('s3cret')}
  for (const text of [inspect(secret), JSON.stringify(secret), `${secret.password}`, new Error('x', {cause: secret}).stack ?? '']) {
    assert.doesNotMatch(text, /s3cret/)
  }
  assert.equal(secret.password.reveal(), 's3cret')
})

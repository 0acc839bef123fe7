import assert from 'node:assert/strict'
import {describe, test} from 'node:test'
import {parseChallenges} from './challenge.ts'

const read = (header: string) => parseChallenges(header).map(({parameters, scheme}) => ({parameters: {...parameters}, scheme}))

describe('challenges', () => {
  test('may hold commas and escapes inside of quotes, in any order', () => {
    assert.deepEqual(read('Bearer scope="repository:a/b:pull,push",realm="https://t/token?x=\\"y\\"" , service=s'), [
      {parameters: {realm: 'https://t/token?x="y"', scope: 'repository:a/b:pull,push', service: 's'}, scheme: 'bearer'},
    ])
  })

  test('may be several in a header', () => {
    assert.deepEqual(read('Negotiate, Basic realm="a, b", Bearer realm="c"'), [
      {parameters: {}, scheme: 'negotiate'},
      {parameters: {realm: 'a, b'}, scheme: 'basic'},
      {parameters: {realm: 'c'}, scheme: 'bearer'},
    ])
    assert.deepEqual(
      read('NTLM TlRMTVNTUAAB==, Basic realm=x').map(({scheme}) => scheme),
      ['ntlm', 'basic'],
    )
  })

  test('cannot reach beyond themselves', () => {
    const [challenge] = parseChallenges('Bearer __proto__="x",constructor="y",realm="a",realm="b"')
    assert.equal(challenge?.parameters.realm, 'a')
    assert.equal(({} as Record<string, unknown>).x, undefined)
    assert.equal(challenge?.parameters.toString, undefined)
  })

  for (const header of ['', ',,,', 'Bearer realm="unterminated', '"', '=', `Bearer ${'a='.repeat(50_000)}`, `${'a,'.repeat(50_000)}`]) {
    test(`that cannot be read end: ${header.slice(0, 30)}`, () => assert.ok(parseChallenges(header).length <= 10_000))
  }
})

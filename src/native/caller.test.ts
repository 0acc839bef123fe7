import assert from 'node:assert/strict'
import {afterEach, test} from 'node:test'
import {callerEnvironment, callerNodeVariables} from './caller.ts'

const before = {...process.env}
afterEach(() => {
  process.env = {...before}
})

test('the NODE_ variables of the caller take the place of ours', () => {
  process.env = {
    NODE_COMPILE_CACHE: '/opt/rkt/dist/.cache',
    PATH: '/bin',
    RKT_LAUNCH: '1;l=;i=0;m=0;u=22;d=bbb;s=;o=s;n=NODE_OPTIONS=--title%3D%22a%3Bb%2Cc%22,NODE_PATH=/%C3%A4,NODE_EMPTY=',
  }
  assert.deepEqual(callerEnvironment(), {NODE_EMPTY: '', NODE_OPTIONS: '--title="a;b,c"', NODE_PATH: '/ä', PATH: '/bin'})
})

test("without a launcher the environment is the caller's own", () => {
  process.env = {NODE_OPTIONS: '--x', PATH: '/bin'}
  assert.deepEqual(callerEnvironment(), {NODE_OPTIONS: '--x', PATH: '/bin'})
})

test('a record can bring back NODE_ variables only', () => {
  assert.deepEqual(callerNodeVariables('1;n=LD_PRELOAD=/evil.so,NODE_PATH=/x,NODE_'), {NODE_PATH: '/x'})
  assert.deepEqual(callerNodeVariables(''), {})
})

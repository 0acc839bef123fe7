import assert from 'node:assert/strict'
import {test} from 'node:test'
import {takeListenFds} from './listen-fds.ts'

test('descriptors from 3 on are ours, and no child of ours sees the variables', () => {
  const env: NodeJS.ProcessEnv = {LISTEN_FDNAMES: 'a:b', LISTEN_FDS: '2', LISTEN_PID: String(process.pid), PATH: '/bin'}

  assert.deepEqual(takeListenFds(env), [3, 4])
  assert.deepEqual(env, {PATH: '/bin'})
})

test('sockets of another process are left alone', () => {
  assert.equal(takeListenFds({LISTEN_FDS: '1', LISTEN_PID: '1'}), undefined)
  assert.equal(takeListenFds({}), undefined)
})

test('a count without a process is taken, one below 1 is none, and one that is no number is refused', () => {
  assert.deepEqual(takeListenFds({LISTEN_FDS: '1'}), [3])
  assert.deepEqual(takeListenFds({LISTEN_FDS: '0'}), [])
  assert.deepEqual(takeListenFds({LISTEN_FDS: '-1'}), [])
  for (const text of ['', 'one', '1e3', '99999']) {
    assert.throws(() => takeListenFds({LISTEN_FDS: text}), /error parsing LISTEN_FDS env var/)
  }
})

import assert from 'node:assert/strict'
import {readdirSync, readFileSync} from 'node:fs'
import {test} from 'node:test'
import {errnoError, systemError} from './system-error.ts'

function thrownBy(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  return assert.fail('nothing was thrown')
}

test('an error of node:fs reads as operation, path and the text of the C library', () => {
  const missing = systemError(
    'open',
    '/no/such',
    thrownBy(() => readFileSync('/no/such')),
  )
  assert.equal(missing.message, 'open /no/such: no such file or directory')

  const file = systemError(
    'open',
    '/etc/passwd',
    thrownBy(() => readdirSync('/etc/passwd')),
  )
  assert.equal(file.message, 'open /etc/passwd: not a directory')

  const folder = systemError(
    'read',
    '/etc',
    thrownBy(() => readFileSync('/etc')),
  )
  assert.equal(folder.message, 'read /etc: is a directory')
})

test('the code and the positive number of the kernel stay', () => {
  const {code, errno} = systemError(
    'open',
    '/no',
    thrownBy(() => readFileSync('/no')),
  ) as NodeJS.ErrnoException
  assert.deepEqual({code, errno}, {code: 'ENOENT', errno: 2})
})

test('what is no error of the system is passed on', () => {
  const error = new TypeError('x')
  assert.equal(systemError('open', '/x', error), error)
  assert.equal(systemError('open', '/x', 'text').message, 'text')
})

test('a number of the kernel has its text, also where libuv has no name for it', () => {
  assert.equal(errnoError(28).message, 'no space left on device')
  assert.equal(errnoError(8, 'exec /x').message, 'exec /x: exec format error')
  assert.equal(errnoError(3999).message, 'errno 3999')
})

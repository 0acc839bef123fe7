import assert from 'node:assert/strict'
import {test} from 'node:test'
import {defaultRetry, pauseMs, retryAfterMs} from './retry.ts'

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  assert.equal(retryAfterMs('3', now), 3000)
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:05 GMT', now), 5000)
  assert.equal(retryAfterMs('Wed, 31 Dec 2025 00:00:05 GMT', now), 0)
  for (const text of [undefined, '', '-1', 'soon', '1.5', '2026-01-01']) assert.equal(retryAfterMs(text, now), null)
})

test('pauses grow and are capped; a server that asks for longer is not asked again', () => {
  const policy = {...defaultRetry, baseMs: 100, capMs: 1000}
  for (const [attempt, middle] of [
    [1, 100],
    [2, 200],
    [3, 400],
  ] as const) {
    const ms = pauseMs(attempt, policy, undefined) ?? 0
    assert.ok(ms >= middle * 0.75 && ms <= middle * 1.25, `${ms}`)
  }
  assert.ok((pauseMs(20, policy, undefined) ?? 0) <= 1000)
  assert.equal(pauseMs(1, policy, '2'), null)
  assert.equal(pauseMs(1, policy, '1'), 1000)
})

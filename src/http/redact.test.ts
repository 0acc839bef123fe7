import assert from 'node:assert/strict'
import {test} from 'node:test'
import {plainText, redactUrl} from './redact.ts'

test('a URL is shown without its password and without what gives access in its query', () => {
  assert.equal(redactUrl('https://user:p@ss@host/x'), 'https://user:***@host/x')
  assert.equal(redactUrl('https://:secret@host/'), 'https://:***@host/')
  assert.equal(redactUrl('https://host/a@b:c'), 'https://host/a@b:c')
  assert.equal(
    redactUrl('https://s3/x?X-Amz-Signature=abc&partNumber=1&X-Amz-Credential=d&token=e#f'),
    'https://s3/x?X-Amz-Signature=***&partNumber=1&X-Amz-Credential=***&token=***#f',
  )
})

test('what a stranger wrote cannot move the cursor or fill the screen', () => {
  assert.equal(plainText('\u001b[2Ja\r\nb\u202ec\0'), '[2Ja b c')
  assert.equal(plainText('x'.repeat(1000)).length, 301)
})

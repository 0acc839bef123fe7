import assert from 'node:assert/strict'
import {test} from 'node:test'

import {isAddress, isDate, isWebUrl, parseAcVersion} from './scalars.ts'

test('a version is printed canonically', () => {
  const cases = {
    '0.8.11': '0.8.11',
    '01.002.3': '1.2.3',
    '0.0.0-dev': '0.0.0-dev',
    '1.30.0+git171c416f': '1.30.0+git171c416f',
    '1.2.3-a.b+c-d': '1.2.3-a.b+c-d',
  }
  for (const [text, version] of Object.entries(cases)) assert.equal(parseAcVersion(text), version)
})

test('what is no version is refused', () => {
  for (const text of ['', '1', '1.2', '1.2.3.4', 'v1.2.3', '1.2.x', '1..3', '9223372036854775808.0.0', ' 1.2.3', '1.2.3 ']) {
    assert.throws(() => parseAcVersion(text), {code: 'RKT_BAD_VERSION', message: `${JSON.stringify(text)} is not a version such as 0.8.11`})
  }
})

test('the version zero is refused', () => {
  for (const text of ['0.0.0', '00.0.0', '0.0.0-']) assert.throws(() => parseAcVersion(text), {message: /cannot be zero$/})
})

test('a date is RFC 3339 with T and a zone', () => {
  for (const text of ['2016-04-01T19:12:03Z', '2016-04-01T19:12:03.447-07:00', '2016-02-29T00:00:00+14:00', '0001-01-01T00:00:00Z']) {
    assert.ok(isDate(text), text)
  }
  for (const text of [
    '',
    '2016-04-01',
    '2016-04-01 19:12:03Z',
    '2016-04-01T19:12:03',
    '2015-02-29T00:00:00Z',
    '2016-13-01T00:00:00Z',
    '2016-04-01T24:00:00Z',
    '2016-04-00T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2016-04-01T19:12:03+24:00',
    '2016-04-01t19:12:03z',
  ]) {
    assert.ok(!isDate(text), text)
  }
})

test('a web URL is one of http or https', () => {
  for (const text of ['http://example.com', 'https://example.com/x?y#z', 'HTTPS://example.com']) assert.ok(isWebUrl(text), text)
  for (const text of ['', 'example.com', 'ftp://example.com', 'javascript:alert(1)', 'http://', '/x']) assert.ok(!isWebUrl(text), text)
})

test('an address is IPv4 or IPv6', () => {
  for (const text of ['127.0.0.1', '::1', 'fe80::1']) assert.ok(isAddress(text), text)
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.256', '[::1]']) assert.ok(!isAddress(text), text)
})

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {INSECURE_OPTION_WORDS, type InsecureOptions, parseInsecureOptions, SECURE} from './index.ts'

const switchedOff = (text: string): string[] =>
  Object.entries(parseInsecureOptions(text))
    .filter(([, off]) => off)
    .map(([check]) => check)
    .sort()

test('each word switches off its own check', () => {
  for (const check of Object.keys(SECURE)) assert.deepEqual(switchedOff(check), [check])
})

test('none and the forgotten ondisk switch nothing off', () => {
  assert.deepEqual(parseInsecureOptions('none'), SECURE)
  assert.deepEqual(parseInsecureOptions('ondisk'), SECURE)
})

test('all-fetch, all-run and all stand for groups', () => {
  assert.deepEqual(switchedOff('all-fetch'), ['http', 'image', 'pubkey', 'tls'])
  assert.deepEqual(switchedOff('all-run'), ['capabilities', 'paths', 'seccomp'])
  assert.deepEqual(switchedOff('all'), (Object.keys(SECURE) as (keyof InsecureOptions)[]).sort())
})

test('words come in any case, and together', () => {
  assert.deepEqual(switchedOff('Image,TLS'), ['image', 'tls'])
  assert.deepEqual(switchedOff('none,image'), ['image'])
  assert.deepEqual(switchedOff('image,all-fetch'), ['http', 'image', 'pubkey', 'tls'])
})

test('an unknown word is named', () => {
  assert.throws(() => parseInsecureOptions('bogus'), {code: 'RKT_BAD_INSECURE_OPTION', message: 'unknown option "bogus"'})
  assert.throws(() => parseInsecureOptions('image, tls'), {message: 'unknown option " tls"'})
  assert.throws(() => parseInsecureOptions(''), {message: 'unknown option ""'})
  assert.throws(() => parseInsecureOptions('constructor'), {message: 'unknown option "constructor"'})
})

test('a word that stands twice is named', () => {
  assert.throws(() => parseInsecureOptions('image,image'), {code: 'RKT_BAD_INSECURE_OPTION', message: 'duplicated option "image"'})
})

test('the words are listed in the order of the help text', () => {
  assert.equal(INSECURE_OPTION_WORDS.join(' '), 'none image tls ondisk http pubkey capabilities paths seccomp all-fetch all-run all')
})

import assert from 'node:assert/strict'
import {test} from 'node:test'

import {lenientImageManifest, lenientPodManifest} from './index.ts'

test('the lenient image manifest keeps what is text', () => {
  const text =
    '{"acKind":"ImageManifest","acVersion":"x","NAME":"Not Valid","labels":[{"name":"version","value":"1"},{"name":5},7],"app":{"user":""}}'

  assert.deepEqual(lenientImageManifest(text), {
    acKind: 'ImageManifest',
    acVersion: 'x',
    labels: [
      {name: 'version', value: '1'},
      {name: '', value: ''},
      {name: '', value: ''},
    ],
    name: 'Not Valid',
  })
  assert.deepEqual(lenientImageManifest('{"acKind":"ImageManifest","labels":"x"}'), {
    acKind: 'ImageManifest',
    acVersion: '',
    labels: [],
    name: '',
  })
})

test('the lenient pod manifest keeps names and images of apps', () => {
  const text =
    '{"acKind":"PodManifest","apps":[{"name":"a","image":{"name":"A","id":"?","labels":[{"name":"version","value":"1"}]}},{"name":"a"},5],"volumes":7}'
  const nothing = {id: '', labels: [], name: ''}

  assert.deepEqual(lenientPodManifest(text), {
    acKind: 'PodManifest',
    acVersion: '',
    apps: [
      {image: {id: '?', labels: [{name: 'version', value: '1'}], name: 'A'}, name: 'a'},
      {image: nothing, name: 'a'},
      {image: nothing, name: ''},
    ],
  })
})

test('lenient reading still asks for JSON of its kind', () => {
  assert.throws(() => lenientImageManifest('{'), {code: 'RKT_MANIFEST_SYNTAX'})
  assert.throws(() => lenientImageManifest('{"acKind":"PodManifest"}'), {code: 'RKT_MANIFEST_KIND'})
  assert.throws(() => lenientPodManifest('{"acKind":"ImageManifest"}'), {code: 'RKT_MANIFEST_KIND'})
})

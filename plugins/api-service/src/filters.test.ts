import assert from 'node:assert/strict'
import {test} from 'node:test'
import {create, type MessageInitShape} from '@bufbuild/protobuf'
import {type FilteredImage, imageFilter, podFilter} from './filters.ts'
import {ImageFilterSchema, PodFilterSchema, PodSchema, PodState} from './generated/v1alpha_pb.js'

const pod = create(PodSchema, {
  annotations: [
    {Key: 'a', value: '1'},
    {Key: 'a', value: '2'},
    {Key: 'b', value: ''},
  ],
  apps: [
    {image: {id: 'sha512-1'}, name: 'one'},
    {image: {id: 'sha512-2'}, name: 'two'},
  ],
  cgroup: '/machine.slice/x.scope',
  id: '71a713a3-c583-4798-85a2-f8a7e602aac9',
  networks: [{name: 'default'}, {name: 'other'}],
  state: PodState.RUNNING,
})

const passesPod = (...filters: MessageInitShape<typeof PodFilterSchema>[]) =>
  podFilter(filters.map((filter) => create(PodFilterSchema, filter)))(pod)

test('a pod passes a filter when every condition that is there holds', () => {
  const holds: MessageInitShape<typeof PodFilterSchema>[] = [
    {},
    {ids: ['x', pod.id]},
    {states: [PodState.EXITED, PodState.RUNNING]},
    {appNames: ['two', 'one']},
    {imageIds: ['sha512-2']},
    {networkNames: ['default', 'other']},
    {annotations: [{Key: 'a', value: '1'}]},
    {annotations: [{Key: 'b', value: ''}]},
    {cgroups: ['/', '/machine.slice/x.scope']},
    {podSubCgroups: ['/machine.slice/x.scope/system.slice/one.service']},
    {podSubCgroups: ['/machine.slice/x.scope']},
  ]
  const fails: MessageInitShape<typeof PodFilterSchema>[] = [
    {ids: [pod.id.slice(0, 8)]},
    {states: [PodState.EXITED]},
    {states: [99 as PodState]},
    {appNames: ['one', 'three']},
    {imageIds: ['sha512-']},
    {networkNames: ['default', 'third']},
    {annotations: [{Key: 'a', value: '2'}]},
    {annotations: [{Key: '__proto__', value: ''}]},
    {cgroups: ['/machine.slice']},
    {podSubCgroups: ['/machine.slice']},
    {podSubCgroups: ['']},
  ]
  for (const filter of holds) assert.equal(passesPod(filter), true, JSON.stringify(filter))
  for (const filter of fails) assert.equal(passesPod(filter), false, JSON.stringify(filter))
  assert.equal(passesPod(Object.assign({}, ...holds)), true)
  assert.equal(passesPod({appNames: ['three'], ids: [pod.id]}), false)
})

test('of several filters one is enough, and none lets everything pass', () => {
  assert.equal(passesPod({ids: ['x']}, {appNames: ['one']}), true)
  assert.equal(passesPod({ids: ['x']}, {appNames: ['x']}), false)
  assert.equal(passesPod(), true)
})

test('a pod without a cgroup is below none', () => {
  const filter = podFilter([create(PodFilterSchema, {podSubCgroups: ['/anything']})])

  assert.equal(filter(create(PodSchema, {...pod, cgroup: ''})), false)
})

const image: FilteredImage = {
  annotations: [{$typeName: 'v1alpha.KeyValue', Key: 'authors', value: 'ada'}],
  id: 'sha512-abc',
  importTimestamp: 1000n,
  labels: [{$typeName: 'v1alpha.KeyValue', Key: 'os', value: 'linux'}],
  names: ['example.com/group/app', 'docker.io/library/thing'],
}

test('an image passes by any of its names, and by its times strictly', () => {
  const passes = (filter: MessageInitShape<typeof ImageFilterSchema>) => imageFilter([create(ImageFilterSchema, filter)])(image)
  const holds: MessageInitShape<typeof ImageFilterSchema>[] = [
    {ids: ['sha512-abc']},
    {fullNames: ['docker.io/library/thing']},
    {prefixes: ['example.com/']},
    {baseNames: ['app']},
    {keywords: ['rary/th']},
    {labels: [{Key: 'os', value: 'linux'}]},
    {annotations: [{Key: 'authors', value: 'ada'}]},
    {importedAfter: 999n, importedBefore: 1001n},
    {importedAfter: 0n, importedBefore: -1n},
  ]
  const fails: MessageInitShape<typeof ImageFilterSchema>[] = [
    {ids: ['sha512-ab']},
    {fullNames: ['app']},
    {prefixes: ['app']},
    {baseNames: ['group']},
    {keywords: ['nothing']},
    {labels: [{Key: 'os', value: 'plan9'}]},
    {annotations: [{Key: 'authors', value: ''}]},
    {importedAfter: 1000n},
    {importedBefore: 1000n},
  ]
  for (const filter of holds) assert.equal(passes(filter), true, Object.keys(filter).join())
  for (const filter of fails) assert.equal(passes(filter), false, Object.keys(filter).join())
})

test('filters without measure are refused before anything is compared', () => {
  const many = Array.from({length: 2000}, () => create(PodFilterSchema, {ids: ['x']}))
  const long = create(PodFilterSchema, {podSubCgroups: Array.from({length: 100_000}, () => '/x')})

  assert.throws(() => podFilter(many), /2000 filters are more than 1024/)
  assert.throws(() => podFilter([long]), /filters of 100000 values have more than 16384/)
})

import assert from 'node:assert/strict'
import {test} from 'node:test'
import {create, fromBinary, toBinary} from '@bufbuild/protobuf'
import {ListPodsResponseSchema, PodSchema, PublicAPI} from '../generated/v1alpha_pb.js'
import {definitionOf, Encoded, encodeField} from './definition.ts'

test('pods that were encoded one by one are the list that holds them, whatever their sizes', () => {
  const sizes = [0, 1, 127, 128, 16_384, 3 << 20]
  const pods = sizes.map((size) => create(PodSchema, {id: 'x'.repeat(size)}))
  const {number} = ListPodsResponseSchema.field.pods

  const bytes = Buffer.concat(pods.map((pod) => encodeField(number, toBinary(PodSchema, pod))))

  assert.deepEqual(bytes, Buffer.from(toBinary(ListPodsResponseSchema, create(ListPodsResponseSchema, {pods}))))
  const {responseSerialize} = definitionOf(PublicAPI).listPods ?? assert.fail('no such method')
  assert.deepEqual(
    fromBinary(ListPodsResponseSchema, responseSerialize(new Encoded(bytes))).pods.map(({id}) => id.length),
    sizes,
  )
})

test('methods have the paths and kinds of the contract', () => {
  const methods = Object.values(definitionOf(PublicAPI)).map(({path, requestStream, responseStream}) => [
    path,
    requestStream,
    responseStream,
  ])

  assert.deepEqual(methods, [
    ['/v1alpha.PublicAPI/GetInfo', false, false],
    ['/v1alpha.PublicAPI/ListPods', false, false],
    ['/v1alpha.PublicAPI/InspectPod', false, false],
    ['/v1alpha.PublicAPI/ListImages', false, false],
    ['/v1alpha.PublicAPI/InspectImage', false, false],
    ['/v1alpha.PublicAPI/ListenEvents', false, true],
    ['/v1alpha.PublicAPI/GetLogs', false, true],
  ])
})

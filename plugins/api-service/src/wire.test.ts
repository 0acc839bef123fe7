import assert from 'node:assert/strict'
import {test} from 'node:test'
import {type DescEnum, type DescField, type DescMessage, ScalarType} from '@bufbuild/protobuf'
import {file_v1alpha} from './generated/v1alpha_pb.js'

/** The API of rkt 1.x: number, name and type of every field. What stands here never changes. */
const messages: Readonly<Record<string, string>> = {
  App: '1 name string, 2 image Image, 3 state AppState, 4 exit_code sint32, 5 annotations rep KeyValue',
  Event: '1 type EventType, 2 id string, 3 from string, 4 time int64, 5 data rep KeyValue',
  EventFilter: '1 types rep EventType, 2 ids rep string, 3 names rep string, 4 since_time int64, 5 until_time int64',
  GetInfoRequest: '',
  GetInfoResponse: '1 info Info',
  GetLogsRequest: '1 pod_id string, 2 app_name string, 3 lines int32, 4 follow bool, 5 since_time int64, 6 until_time int64',
  GetLogsResponse: '1 lines rep string',
  GlobalFlags:
    '1 dir string, 2 system_config_dir string, 3 local_config_dir string, 4 user_config_dir string, 5 insecure_flags string, 6 trust_keys_from_https bool',
  Image:
    '1 base_format ImageFormat, 2 id string, 3 name string, 4 version string, 5 import_timestamp int64, 6 manifest bytes, 7 size int64, 8 annotations rep KeyValue, 9 labels rep KeyValue',
  ImageFilter:
    '1 ids rep string, 2 prefixes rep string, 3 base_names rep string, 4 keywords rep string, 5 labels rep KeyValue, 6 imported_after int64, 7 imported_before int64, 8 annotations rep KeyValue, 9 full_names rep string',
  ImageFormat: '1 type ImageType, 2 version string',
  Info: '1 rkt_version string, 2 appc_version string, 3 api_version string, 4 global_flags GlobalFlags',
  InspectImageRequest: '1 id string',
  InspectImageResponse: '1 image Image',
  InspectPodRequest: '1 id string',
  InspectPodResponse: '1 pod Pod',
  KeyValue: '1 Key string, 2 value string',
  ListenEventsRequest: '1 filter EventFilter',
  ListenEventsResponse: '1 events rep Event',
  ListImagesRequest: '1 filters rep ImageFilter, 2 detail bool',
  ListImagesResponse: '1 images rep Image',
  ListPodsRequest: '1 filters rep PodFilter, 2 detail bool',
  ListPodsResponse: '1 pods rep Pod',
  Network: '1 name string, 2 ipv4 string, 3 ipv6 string',
  Pod: '1 id string, 2 pid sint32, 3 state PodState, 4 apps rep App, 5 networks rep Network, 6 manifest bytes, 7 annotations rep KeyValue, 8 cgroup string, 9 created_at int64, 10 started_at int64, 11 gc_marked_at int64',
  PodFilter:
    '1 ids rep string, 2 states rep PodState, 3 app_names rep string, 4 image_ids rep string, 5 network_names rep string, 6 annotations rep KeyValue, 7 cgroups rep string, 8 pod_sub_cgroups rep string',
}

const enums: Readonly<Record<string, string>> = {
  AppState: 'UNDEFINED, RUNNING, EXITED',
  EventType:
    'UNDEFINED, POD_PREPARED, POD_PREPARE_ABORTED, POD_STARTED, POD_EXITED, POD_GARBAGE_COLLECTED, APP_STARTED, APP_EXITED, IMAGE_IMPORTED, IMAGE_REMOVED',
  ImageType: 'UNDEFINED, APPC, DOCKER, OCI',
  PodState: 'UNDEFINED, EMBRYO, PREPARING, PREPARED, RUNNING, ABORTED_PREPARE, EXITED, DELETING, GARBAGE',
}

function typeOf(field: DescField): string {
  const repeated = field.fieldKind === 'list' ? 'rep ' : ''
  const of = field.message?.name ?? field.enum?.name ?? ScalarType[field.scalar ?? 0]?.toLowerCase()
  return `${repeated}${of}`
}

const described = ({fields}: DescMessage) => fields.map((field) => `${field.number} ${field.name} ${typeOf(field)}`).join(', ')

/** Values are numbered from 0 on, without a gap. */
function valuesOf({name, values}: DescEnum): string {
  const prefix = `${name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}_`
  assert.deepEqual(
    values.map(({number}) => number),
    values.map((_, index) => index),
  )
  return values.map((value) => value.name.replace(prefix, '')).join(', ')
}

test('messages are those of rkt 1.x, field by field', () => {
  assert.deepEqual(Object.fromEntries(file_v1alpha.messages.map((message) => [message.name, described(message)])), messages)
})

test('enumerations are those of rkt 1.x, value by value', () => {
  assert.deepEqual(Object.fromEntries(file_v1alpha.enums.map((each) => [each.name, valuesOf(each)])), enums)
  assert.deepEqual(file_v1alpha.enums.find(({name}) => name === 'PodState')?.values[3]?.name, 'POD_STATE_PREPARED')
})

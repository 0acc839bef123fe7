import assert from 'node:assert/strict'
import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {test} from 'node:test'
import {type DescFile, fromBinary, toBinary} from '@bufbuild/protobuf'
import {type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt'
import {file_health} from './generated/health_pb.js'
import {file_reflection_v1} from './generated/reflection_v1_pb.js'
import {file_reflection_v1alpha} from './generated/reflection_v1alpha_pb.js'
import {file_v1alpha} from './generated/v1alpha_pb.js'

const checkout = resolve(import.meta.dirname, '../../..')
const python = join(checkout, '.cache/python/bin/python')
const files: Readonly<Record<string, DescFile>> = {
  health: file_health,
  reflection_v1: file_reflection_v1,
  reflection_v1alpha: file_reflection_v1alpha,
  v1alpha: file_v1alpha,
}

/** Names in JSON follow from the others, and a generator may leave them out. */
function plain(file: FileDescriptorProto): Uint8Array {
  for (const {field} of file.messageType) for (const each of field) each.jsonName = ''
  return toBinary(FileDescriptorProtoSchema, file)
}

for (const [name, {proto}] of Object.entries(files)) {
  const skip = existsSync(python) ? false : 'protoc is not installed'
  test(`${name}: the committed code is what protoc reads in the .proto (else run scripts/generate-proto.ts)`, {skip}, () => {
    const directory = mkdtempSync(join(tmpdir(), 'rkt-protoc-'))
    try {
      const output = join(directory, 'set')
      const protos = join(checkout, 'plugins/api-service/proto')
      execFileSync(python, ['-m', 'grpc_tools.protoc', '-I', protos, `--descriptor_set_out=${output}`, `${name}.proto`])
      const [compiled] = fromBinary(FileDescriptorSetSchema, readFileSync(output)).file

      assert.ok(compiled)
      assert.deepEqual(plain(structuredClone(proto)), plain(compiled))
    } finally {
      rmSync(directory, {recursive: true})
    }
  })
}

/** Server reflection: what grpcurl and its like ask, so that they need no .proto. */

import {create, createRegistry, type DescFile, type DescService, type Registry, toBinary} from '@bufbuild/protobuf'
import {FileDescriptorProtoSchema} from '@bufbuild/protobuf/wkt'
import type {ServerDuplexStream} from '@grpc/grpc-js'
import {
  ErrorResponseSchema,
  ExtensionNumberResponseSchema,
  FileDescriptorResponseSchema,
  ListServiceResponseSchema,
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from '../generated/reflection_v1_pb.js'
import {ServerReflection as ServerReflectionAlpha} from '../generated/reflection_v1alpha_pb.js'
import {definitionOf, type Service} from './definition.ts'
import {codes} from './status.ts'

type Answer = ServerReflectionResponse['messageResponse']

/** The services that tell of `services` and of themselves, in both versions that clients ask for. */
export function reflectionServices(services: readonly DescService[]): Service[] {
  const all = [...services, ServerReflection, ServerReflectionAlpha]
  const described: Described = {
    files: [...new Set(all.map(({file}) => file))],
    services: all,
    types: createRegistry(...all.map(({file}) => file)),
  }
  const handlers = {
    serverReflectionInfo(call: ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>) {
      call.on('data', (request: ServerReflectionRequest) => {
        const messageResponse = answerTo(request.messageRequest, described)
        const response = create(ServerReflectionResponseSchema, {messageResponse, originalRequest: request, validHost: request.host})
        if (call.write(response)) return
        // Who asks faster than he reads waits.
        call.pause()
        call.once('drain', () => call.resume())
      })
      call.on('end', () => call.end())
      call.on('error', () => call.end())
    },
  }
  // The versions differ in the names of their packages alone, which the wire does not have.
  const definition = definitionOf(ServerReflection)
  const path = `/${ServerReflectionAlpha.typeName}/ServerReflectionInfo`
  const alpha = Object.fromEntries(Object.entries(definition).map(([name, method]) => [name, {...method, path}]))
  return [
    {definition, handlers},
    {definition: alpha, handlers},
  ]
}

interface Described {
  readonly files: readonly DescFile[]
  readonly services: readonly DescService[]
  readonly types: Registry
}

function answerTo(asked: ServerReflectionRequest['messageRequest'], {files, services, types}: Described): Answer {
  switch (asked.case) {
    case 'listServices': {
      const service = services.map(({typeName: name}) => ({name}))
      return {case: 'listServicesResponse', value: create(ListServiceResponseSchema, {service})}
    }
    case 'fileByFilename':
      return descriptor(
        files.find(({proto}) => proto.name === asked.value),
        asked.value,
      )
    case 'fileContainingSymbol':
      return descriptor(fileOf(asked.value, types), asked.value)
    case 'allExtensionNumbersOfType': {
      if (!types.getMessage(asked.value)) return notFound(asked.value)
      return {case: 'allExtensionNumbersResponse', value: create(ExtensionNumberResponseSchema, {baseTypeName: asked.value})}
    }
    case 'fileContainingExtension':
      // Nothing here has extensions.
      return notFound(`${asked.value.containingType} ${asked.value.extensionNumber}`)
    default:
      return failed(codes.invalidArgument, 'the request asks for nothing')
  }
}

/** The file of a message, an enumeration, a service, or of a method or field in one. */
function fileOf(symbol: string, types: Registry): DescFile | undefined {
  const parent = symbol.slice(0, Math.max(0, symbol.lastIndexOf('.')))
  return (types.get(symbol) ?? types.get(parent))?.file
}

function descriptor(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked)
  const fileDescriptorProto = [toBinary(FileDescriptorProtoSchema, file.proto)]
  return {case: 'fileDescriptorResponse', value: create(FileDescriptorResponseSchema, {fileDescriptorProto})}
}

const notFound = (asked: string) => failed(codes.notFound, `${asked.slice(0, 256)} is not here`)

const failed = (errorCode: number, errorMessage: string): Answer => ({
  case: 'errorResponse',
  value: create(ErrorResponseSchema, {errorCode, errorMessage}),
})

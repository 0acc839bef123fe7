/** From descriptors to what grpc-js serves. */

import {type DescService, fromBinary, type Message, toBinary} from '@bufbuild/protobuf'
import type {ServiceDefinition, UntypedServiceImplementation} from '@grpc/grpc-js'

/** A response that is on the wire already, as a handler may give it in place of a message. */
export class Encoded {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

export interface Service {
  readonly definition: ServiceDefinition
  readonly handlers: UntypedServiceImplementation
}

/** The definition of a service: its paths, and how its messages are read and written. */
export function definitionOf({methods, typeName}: DescService): ServiceDefinition {
  return Object.fromEntries(
    methods.map(({input, localName, methodKind, name, output}) => [
      localName,
      {
        originalName: localName,
        path: `/${typeName}/${name}`,
        requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
        requestSerialize: (message: Message) => Buffer.from(toBinary(input, message)),
        requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
        responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
        responseSerialize: (message: Message | Encoded) =>
          message instanceof Encoded ? message.bytes : Buffer.from(toBinary(output, message)),
        responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
      },
    ]),
  )
}

const lengthDelimited = 2

/**
 * One field of a message that holds a message, on the wire. A response that is nothing but a repeated field is these, one behind the other:
 * what was encoded once is sent as often as it is asked for.
 */
export function encodeField(number: number, message: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | lengthDelimited), varint(message.length), message])
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  return Uint8Array.from([...bytes, rest])
}

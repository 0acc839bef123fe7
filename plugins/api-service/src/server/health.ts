import {create, type DescService} from '@bufbuild/protobuf'
import type {ServerUnaryCall, ServerWritableStream, sendUnaryData} from '@grpc/grpc-js'
import {
  Health,
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../generated/health_pb.js'
import {definitionOf, type Service} from './definition.ts'
import {codes} from './status.ts'

/** Tells load balancers that this server and each of its services serve, which they do as long as they can say so. */
export function healthService(services: readonly DescService[]): Service {
  const known = new Set(['', ...services.map(({typeName}) => typeName)])
  const answer = (status: ServingStatus) => create(HealthCheckResponseSchema, {status})
  return {
    definition: definitionOf(Health),
    handlers: {
      check({request: {service}}: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>, callback: sendUnaryData<HealthCheckResponse>) {
        if (known.has(service)) callback(null, answer(ServingStatus.SERVING))
        else callback({code: codes.notFound, details: 'unknown service'})
      },
      watch(call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>) {
        // It never changes; the stream stays open until the client has enough.
        call.write(answer(known.has(call.request.service) ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN))
        call.on('cancelled', () => call.end())
      },
    },
  }
}

/** Clients of the API service: grpc-js over what was generated from our .proto, and Python's gRPC over what protoc makes of it. */
import assert from 'node:assert/strict'
import {existsSync, mkdirSync, mkdtempSync, renameSync} from 'node:fs'
import {join} from 'node:path'
import {create, type DescMessage, type Message} from '@bufbuild/protobuf'
import {Client, type ClientReadableStream, credentials, type ServiceError} from '@grpc/grpc-js'
import {
  type Event,
  type GetInfoResponse,
  type GetLogsResponse,
  type InspectImageResponse,
  type InspectPodResponse,
  type ListenEventsResponse,
  type ListImagesResponse,
  type ListPodsResponse,
  PublicAPI,
} from '../../../plugins/api-service/src/generated/v1alpha_pb.js'
import {definitionOf} from '../../../plugins/api-service/src/server/definition.ts'
import {checkout, type Host} from './host.ts'
import {eventually, type Result, type Running, runProgram} from './processes.ts'

interface Unary {
  readonly getInfo: GetInfoResponse
  readonly inspectImage: InspectImageResponse
  readonly inspectPod: InspectPodResponse
  readonly listImages: ListImagesResponse
  readonly listPods: ListPodsResponse
}

interface Streaming {
  readonly getLogs: GetLogsResponse
  readonly listenEvents: ListenEventsResponse
}

const methods = definitionOf(PublicAPI)

/** A request of a method out of a plain object. */
function requestOf(method: keyof typeof PublicAPI.method, request: object): Message {
  return create(PublicAPI.method[method].input as DescMessage, request as Record<string, unknown>)
}

/** grpc-js as a client. Requests are written as plain objects. */
export class NodeClient implements Disposable {
  readonly #client: Client

  constructor(port: number) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {'grpc.max_receive_message_length': 256 << 20})
  }

  async ask<M extends keyof Unary>(method: M, request: object = {}): Promise<Unary[M]> {
    const {path, requestSerialize, responseDeserialize} = methods[method] ?? assert.fail(method)
    return await new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, requestOf(method, request), (error, response) =>
        error ? reject(error) : resolve(response as Unary[M]),
      )
    })
  }

  /** The failure that a request meets. */
  async refused(method: keyof Unary, request: object = {}): Promise<ServiceError> {
    return await this.ask(method, request).then(
      () => assert.fail(`${method} was answered`),
      (error: ServiceError) => error,
    )
  }

  stream<M extends keyof Streaming>(method: M, request: object = {}): ClientReadableStream<Streaming[M]> {
    const {path, requestSerialize, responseDeserialize} = methods[method] ?? assert.fail(method)
    const stream = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, requestOf(method, request))
    stream.on('error', () => {})
    return stream as ClientReadableStream<Streaming[M]>
  }

  /** What a stream said and how it ended: its failure, or undefined. */
  async toEnd<M extends keyof Streaming>(method: M, request: object = {}): Promise<{responses: Streaming[M][]; error?: ServiceError}> {
    const stream = this.stream(method, request)
    const responses: Streaming[M][] = []
    stream.on('data', (response: Streaming[M]) => responses.push(response))
    return await new Promise((resolve) => {
      stream.on('end', () => resolve({responses}))
      stream.on('error', (error: ServiceError) => resolve({error, responses}))
    })
  }

  /** Events from now on, as they come. Answered once the service listens for them. */
  async events(filter: object = {}): Promise<{readonly heard: Event[]; cancel: () => void}> {
    const stream = this.stream('listenEvents', {filter})
    const heard: Event[] = []
    stream.on('data', ({events}: ListenEventsResponse) => heard.push(...events))
    // The service has taken in a stream before it answers a request that came behind it.
    await this.ask('getInfo')
    return {cancel: () => stream.cancel(), heard}
  }

  [Symbol.dispose](): void {
    this.#client.close()
  }
}

/** A running API service, and the port that it chose. */
export async function apiService(
  host: Host,
  options: {readonly globals?: readonly string[]} = {},
): Promise<{port: number; service: Running}> {
  const service = host.start(['api-service', '--listen=localhost:0'], {...options, timeoutMs: 280_000})
  const [, port] = await eventually(() => {
    if (service.ended) throw new Error(`the service ended: ${service.stderr}`)
    return service.stderr.includes('API service running') && /Listening on localhost:(\d+)/.exec(service.stderr)
  }, 'the API service to run')
  return {port: Number(port), service}
}

const python = join(checkout, '.cache/python/bin/python')

/** What protoc makes of our .proto for Python, once a suite. */
async function pythonStubs(): Promise<string> {
  const stubs = '/tmp/rkt-fixtures/grpc-python'
  if (existsSync(stubs)) return stubs
  assert.ok(existsSync(python), 'gRPC for Python is not installed: npm test sets it up')
  mkdirSync('/tmp/rkt-fixtures', {recursive: true})
  const directory = mkdtempSync(`${stubs}-`)
  const protos = join(checkout, 'plugins/api-service/proto')
  const outputs = [`--python_out=${directory}`, `--grpc_python_out=${directory}`]
  const {status, stderr} = await runProgram([python, '-m', 'grpc_tools.protoc', '-I', protos, ...outputs, join(protos, 'v1alpha.proto')])
  assert.equal(status, 0, stderr)
  // Whoever was faster has made the same.
  if (!existsSync(stubs)) renameSync(directory, stubs)
  return stubs
}

/** Runs a program of test/fixtures/grpc-client. */
export async function pythonClient(program: 'client' | 'services', port: number, ...words: string[]): Promise<Result> {
  const script = join(checkout, 'test/fixtures/grpc-client', `${program}.py`)
  return await runProgram([python, script, await pythonStubs(), `127.0.0.1:${port}`, ...words])
}

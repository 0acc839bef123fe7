/** The methods of the API over what is known of pods and images. */

import {create} from '@bufbuild/protobuf'
import type {handleServerStreamingCall, ServerUnaryCall, ServerWritableStream, sendUnaryData} from '@grpc/grpc-js'
import {AC_VERSION, type Engine, type PodUuid, packageVersion} from '@rkt/engine'
import type {Journal} from './events/journal.ts'
import {listenEvents} from './events/listen-events.ts'
import {imageFilter, podFilter} from './filters.ts'
import {
  type GetInfoResponse,
  GetInfoResponseSchema,
  type InspectImageRequest,
  InspectImageResponseSchema,
  type InspectPodRequest,
  InspectPodResponseSchema,
  type ListImagesRequest,
  type ListPodsRequest,
  PublicAPI,
} from './generated/v1alpha_pb.js'
import type {ImageCache} from './images/image-cache.ts'
import {getLogs} from './logs/get-logs.ts'
import {type CachedPod, type PodCache, withManifest} from './pods/pod-cache.ts'
import {definitionOf, Encoded, type Service} from './server/definition.ts'
import {StatusError, statusOf} from './server/status.ts'

const API_VERSION = '1.0.0-alpha'

/** Streams that may be open at a time, all clients together. */
const maxStreams = 1024
/** When so much waits for clients to read it, nothing is added. */
const maxBufferedBytes = 512 << 20

export interface Sources {
  readonly engine: Pick<Engine, 'dataDir' | 'options' | 'pods'>
  readonly images: ImageCache
  readonly journal: Journal
  readonly pods: PodCache
}

export function publicApi(sources: Sources): Service {
  const {images, journal, pods} = sources
  const streams = new Streams()
  return {
    definition: definitionOf(PublicAPI),
    handlers: {
      getInfo: unary(async () => info(sources)),
      getLogs: streams.serve(async (call: Parameters<typeof getLogs>[0]) => {
        await getLogs(call, (await podOf(sources, call.request.podId)).facts.place)
      }),
      inspectImage: unary(async ({id}: InspectImageRequest) => {
        const image = (await images.all()).get(id)
        if (image === undefined) throw new Error(`ACI info not found with blob key ${JSON.stringify(id.slice(0, 128))}`)
        return create(InspectImageResponseSchema, {image: {...image.message, manifest: image.manifest}})
      }),
      inspectPod: unary(async ({id}: InspectPodRequest) => {
        return create(InspectPodResponseSchema, {pod: withManifest((await podOf(sources, id)).facts)})
      }),
      listenEvents: streams.serve(async (call: Parameters<typeof listenEvents>[1]) => await listenEvents(journal, call)),
      listImages: unary(async ({detail, filters}: ListImagesRequest) => {
        const isWanted = imageFilter(filters)
        const wanted = [...(await images.all()).values()].filter(isWanted)
        return new Encoded(Buffer.concat(wanted.map((image) => (detail ? images.detailed(image) : image.encoded))))
      }),
      listPods: unary(async ({detail, filters}: ListPodsRequest) => {
        const isWanted = podFilter(filters)
        const wanted = (await pods.list()).filter(({facts}) => isWanted(facts.message))
        return new Encoded(Buffer.concat(wanted.map((pod) => (detail ? pods.detailed(pod) : pod.encoded))))
      }),
    },
  }
}

function info({engine: {dataDir, options}}: Sources): GetInfoResponse {
  const {insecure, localConfig, systemConfig, trustKeysFromHttps, userConfig} = options
  const off = Object.entries(insecure).flatMap(([name, isOff]) => (isOff ? [name] : []))
  return create(GetInfoResponseSchema, {
    info: {
      apiVersion: API_VERSION,
      appcVersion: AC_VERSION,
      globalFlags: {
        dir: dataDir,
        insecureFlags: off.length === 0 ? 'none' : off.join(','),
        localConfigDir: localConfig,
        systemConfigDir: systemConfig,
        trustKeysFromHttps,
        userConfigDir: userConfig ?? '',
      },
      rktVersion: packageVersion(),
    },
  })
}

/** The one pod that a prefix of its UUID names. */
async function podOf({engine, pods}: Sources, text: string): Promise<CachedPod> {
  let uuid: PodUuid
  try {
    uuid = engine.pods.resolve(text.slice(0, 128))
  } catch (cause) {
    throw new Error('unable to resolve UUID', {cause})
  }
  const pod = await pods.get(uuid)
  if (pod === undefined) throw new Error(`pod ${JSON.stringify(uuid)} was not present`)
  return pod
}

function unary<Request>(answer: (request: Request) => Promise<unknown>) {
  return ({request}: ServerUnaryCall<Request, unknown>, callback: sendUnaryData<unknown>) => {
    // The copy of an answer lives until its client has read it.
    if (process.memoryUsage().arrayBuffers > maxBufferedBytes) {
      return callback(statusOf(new StatusError('resourceExhausted', 'clients read too slowly: too many answers wait for them')))
    }
    answer(request).then(
      (response) => callback(null, response),
      (error: unknown) => callback(statusOf(error)),
    )
  }
}

/** The streams that are open: each client waits for its own, and none is let in beyond what can be served. */
class Streams {
  #open = 0

  serve<Request, Response>(
    serve: (call: ServerWritableStream<Request, Response>) => Promise<void>,
  ): handleServerStreamingCall<Request, Response> {
    return (call) => {
      const refuse = (error: unknown) => call.emit('error', Object.assign(new Error(), statusOf(error)))
      if (this.#open >= maxStreams) return void refuse(new StatusError('resourceExhausted', `${maxStreams} streams are open already`))
      this.#open++
      let isOpen = true
      const close = () => {
        if (isOpen) this.#open--
        isOpen = false
      }
      for (const end of ['cancelled', 'close', 'finish']) call.once(end, close)
      serve(call).then(
        () => call.end(),
        (error: unknown) => refuse(error),
      )
    }
  }
}

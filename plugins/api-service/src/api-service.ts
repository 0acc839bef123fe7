import type {Engine} from '@rkt/engine'
import {Journal} from './events/journal.ts'
import {podEvents} from './events/pod-events.ts'
import {Health} from './generated/health_pb.js'
import {EventType, PublicAPI} from './generated/v1alpha_pb.js'
import {type CachedImage, ImageCache} from './images/image-cache.ts'
import {PodCache} from './pods/pod-cache.ts'
import {publicApi} from './public-api.ts'
import {GrpcServer, type Place} from './server/grpc-server.ts'
import {healthService} from './server/health.ts'
import {reflectionServices} from './server/reflection.ts'

export interface ApiServiceOptions {
  readonly engine: Engine
  /** Another engine over the same directories, to be disposed of. */
  readonly open: () => Promise<Engine>
  readonly note: (line: string) => void
}

/** The API service: what is known of pods and images, kept true by what the kernel tells, and the server that is asked for it. */
export class ApiService implements AsyncDisposable {
  readonly #pods: PodCache
  readonly #images: ImageCache
  readonly #server: GrpcServer

  private constructor(pods: PodCache, images: ImageCache, server: GrpcServer) {
    this.#pods = pods
    this.#images = images
    this.#server = server
  }

  static async start({engine, note, open}: ApiServiceOptions): Promise<ApiService> {
    const journal = new Journal()
    const pods = new PodCache(engine, note, (before, after) => {
      for (const happening of podEvents(before, after)) journal.add(happening)
    })
    const images = new ImageCache(open, engine.dataDir, note, (imported, removed) => {
      const tell = (type: EventType, {id, message: {name, version}}: CachedImage) => journal.add({data: {version}, from: name, id, type})
      for (const image of imported) tell(EventType.IMAGE_IMPORTED, image)
      for (const image of removed) tell(EventType.IMAGE_REMOVED, image)
    })
    pods.start()
    await images.start()
    const services = [publicApi({engine, images, journal, pods}), healthService([PublicAPI]), ...reflectionServices([PublicAPI, Health])]
    return new ApiService(pods, images, await GrpcServer.over(services))
  }

  /** The port that it then listens on, where the place left that open. */
  async listen(place: Place): Promise<number | undefined> {
    return await this.#server.listen(place)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    this.#pods[Symbol.dispose]()
    this.#images[Symbol.dispose]()
  }
}

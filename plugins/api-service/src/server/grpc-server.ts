import {once} from 'node:events'
import {createServer, type Server as NetServer, type Socket} from 'node:net'
import type {ConnectionInjector, Server} from '@grpc/grpc-js'
import {RktError} from '@rkt/engine'
import type {Service} from './definition.ts'

const limits = {
  /** Connections of each socket. */
  connections: 1024,
  /** Of a request. */
  messageBytes: 4 << 20,
  /** A client that answers no ping for so long is gone. */
  pingMs: 60_000,
  pongMs: 20_000,
  /** Of one connection: more than a client that means well has, few enough that it gets its refusals. */
  streams: 65_536,
}

/** Where to listen: an address, or the descriptor of a socket that listens already. */
export type Place = {readonly host: string; readonly port: number} | {readonly fd: number}

/** A server of gRPC over sockets of our own, which can be handed over by an init system. */
export class GrpcServer implements AsyncDisposable {
  readonly #server: Server
  readonly #injector: ConnectionInjector
  readonly #listeners: NetServer[] = []
  readonly #connections = new Set<Socket>()

  private constructor(server: Server, injector: ConnectionInjector) {
    this.#server = server
    this.#injector = injector
  }

  static async over(services: readonly Service[]): Promise<GrpcServer> {
    const {Server, ServerCredentials} = await import('@grpc/grpc-js')
    const server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.keepalive_time_ms': limits.pingMs,
      'grpc.keepalive_timeout_ms': limits.pongMs,
      'grpc.max_concurrent_streams': limits.streams,
      'grpc.max_receive_message_length': limits.messageBytes,
    })
    for (const {definition, handlers} of services) server.addService(definition, handlers)
    return new GrpcServer(server, server.createConnectionInjector(ServerCredentials.createInsecure()))
  }

  /** Listens, and answers the port when it is one of TCP. */
  async listen(place: Place): Promise<number | undefined> {
    const listener = createServer({noDelay: true}, (socket) => this.#accept(socket))
    listener.maxConnections = limits.connections
    this.#listeners.push(listener)
    try {
      listener.listen(place)
      await once(listener, 'listening')
    } catch (cause) {
      throw new RktError('RKT_API_LISTEN', 'could not open tcp socket', {cause})
    }
    const address = listener.address()
    return typeof address === 'object' ? address?.port : undefined
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket)
    socket.once('close', () => this.#connections.delete(socket))
    // A client that breaks off is no failure of ours.
    socket.on('error', () => socket.destroy())
    this.#injector.injectConnection(socket)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close()
    this.#server.forceShutdown()
    this.#injector.destroy()
    for (const socket of this.#connections) socket.destroy()
  }
}

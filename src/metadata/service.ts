import {once} from 'node:events'
import {mkdirSync, rmSync} from 'node:fs'
import type {Server} from 'node:http'
import {connect} from 'node:net'
import {dirname} from 'node:path'
import {RktError} from '../errors.ts'
import type {Pods} from '../pod/index.ts'
import {publicRoute} from './public-api.ts'
import {registrationRoute} from './registration-api.ts'
import {Registry} from './registry.ts'
import {restore} from './restore.ts'
import {httpServer} from './server.ts'
import {Signer} from './signer.ts'

export interface MetadataServiceOptions {
  readonly pods: Pods
  /** TCP port on every IPv4 address; 0 for any. */
  readonly port: number
  /** The path of the registration socket, or the descriptor of one that listens already. */
  readonly registration: string | number
  readonly note: (line: string) => void
}

/** The metadata service, answering until it is disposed of. */
export class MetadataService implements AsyncDisposable {
  readonly #servers: readonly Server[]

  private constructor(servers: readonly Server[]) {
    this.#servers = servers
  }

  /**
   * Starts the service. It knows every pod that was registered before: their directories are read once both sockets are open, and
   * requests wait for that, so that no registration and no removal is missed.
   */
  static async start({note, pods, port, registration}: MetadataServiceOptions): Promise<MetadataService> {
    const registry = new Registry()
    const signer = new Signer()
    const {promise: ready, resolve: begin} = Promise.withResolvers<void>()
    const open = httpServer({log: note, ready, route: (asked) => publicRoute(registry, signer, asked)})
    const forRoot = httpServer({log: note, ready, route: (asked) => registrationRoute(registry, asked)})
    try {
      await listen(open, {host: '0.0.0.0', port}, `error listening on port ${port}`)
      if (typeof registration === 'number') await listen(forRoot, {fd: registration}, `error listening on socket ${registration}`)
      else await listenAt(forRoot, registration)
    } catch (error) {
      for (const server of [open, forRoot]) server.close()
      throw error
    }
    restore(registry, pods, note)
    begin()
    return new MetadataService([open, forRoot])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#servers.map(async (server) => {
        const closed = once(server, 'close')
        server.close()
        server.closeAllConnections()
        await closed
      }),
    )
  }
}

type Place = {readonly fd: number} | {readonly host: string; readonly port: number} | {readonly path: string}

async function listen(server: Server, where: Place, failure: string): Promise<void> {
  try {
    const listening = once(server, 'listening')
    // Who can write to a socket of ours can register pods: never more than root, not even for an instant.
    const before = process.umask(0o117)
    try {
      server.listen(where)
    } finally {
      process.umask(before)
    }
    await listening
  } catch (cause) {
    throw new RktError('RKT_METADATA_LISTEN', failure, {cause})
  }
}

/** A socket that a killed service left is replaced; that of one that answers is not. */
async function listenAt(server: Server, path: string): Promise<void> {
  const failure = `error listening on socket ${path}`
  if (await answers(path)) throw new RktError('RKT_METADATA_LISTEN', failure, {cause: new Error('another metadata service answers there')})
  try {
    mkdirSync(dirname(path), {mode: 0o755, recursive: true})
    rmSync(path, {force: true})
  } catch (cause) {
    throw new RktError('RKT_METADATA_LISTEN', failure, {cause})
  }
  await listen(server, {path}, failure)
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    // Nobody listens, or nothing is there.
    return false
  } finally {
    socket.destroy()
  }
}

/**
 * A server of HTTP for clients that may be hostile: everything a client can make large or slow has a bound, and one address cannot take
 * all connections.
 */

import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http'
import type {Socket} from 'node:net'
import {type Answer, type Asked, parseTarget, type Route, refused} from './answer.ts'

const limits = {
  connections: 1024,
  connectionsOfOneAddress: 128,
  headerBytes: 16 << 10,
  headersMs: 5000,
  requestMs: 15_000,
  /** How long a body that nobody wants is read, so that its sender sees the answer. */
  unwantedMs: 2000,
}

export interface HttpOptions {
  /** Requests wait for it. */
  readonly ready: Promise<void>
  readonly route: (asked: Asked) => Route
  /** Called once a request was answered, with what to write to the log. */
  readonly log: (line: string) => void
}

/** A server that answers by `route` and listens nowhere yet. */
export function httpServer({log, ready, route}: HttpOptions): Server {
  const server = createServer(
    {
      connectionsCheckingInterval: 1000,
      headersTimeout: limits.headersMs,
      keepAliveTimeout: limits.headersMs,
      maxHeaderSize: limits.headerBytes,
      requestTimeout: limits.requestMs,
    },
    (request, response) => {
      ready
        .then(() => serve(request, response, route))
        .then(
          ({status}) => log(`${request.method} ${shown(request.url ?? '')} - ${status}`),
          () => request.destroy(), // the client has gone
        )
    },
  )
  server.maxConnections = limits.connections
  server.timeout = limits.requestMs
  limitAddresses(server)
  return server
}

function limitAddresses(server: Server): void {
  const open = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress
    if (address === undefined) return
    const count = (open.get(address) ?? 0) + 1
    if (count > limits.connectionsOfOneAddress) return void socket.destroy()
    open.set(address, count)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}

async function serve(request: IncomingMessage, response: ServerResponse, route: HttpOptions['route']): Promise<Answer> {
  const answer = await decide(request, route)
  const {body, status, type} = answer
  const bytes = Buffer.from(body)
  response.writeHead(status, {'content-length': bytes.length, 'content-type': type, 'x-content-type-options': 'nosniff'})
  response.end(bytes)
  if (!request.complete) {
    request.resume()
    const timer = setTimeout(() => request.destroy(), limits.unwantedMs)
    request.once('close', () => clearTimeout(timer))
  }
  return answer
}

async function decide(request: IncomingMessage, route: HttpOptions['route']): Promise<Answer> {
  const asked = parseTarget(request.method ?? '', request.url ?? '')
  if (asked === undefined) return refused(400, 'malformed path')
  const found = safely(() => route(asked))
  if ('status' in found) return found
  const {limit, read} = found
  const body = await bodyOf(request, limit)
  return body === undefined ? refused(413, `the body is larger than ${limit} bytes`) : safely(() => read(body))
}

/** A failure of ours is this request's alone. */
function safely<T extends Route>(action: () => T): T | Answer {
  try {
    return action()
  } catch (error) {
    return refused(500, error instanceof Error ? error.message : String(error))
  }
}

/** The body, or undefined when it is larger than it may be. */
async function bodyOf(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > limit) return undefined
  const chunks: Buffer[] = []
  let size = 0
  return await new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limit) {
        request.removeAllListeners('data')
        return resolve(undefined)
      }
      chunks.push(chunk)
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('error', reject)
    request.once('close', () => reject(new Error('the client went away')))
  })
}

/** A target as the log may have it: of a token only its beginning, nothing that a terminal would obey, not more than a line. */
function shown(target: string): string {
  const safe = target.replace(/[^\x21-\x7e]/g, '?').slice(0, 512)
  return safe.replace(/^\/(?!pods\/)([^/?]{4})[^/?]+/, '/$1…').replace(/([?&]token=[^&]{4})[^&]+/, '$1…')
}

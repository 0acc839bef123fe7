/** A web server that answers what a test says, and remembers what it was asked. */
import {once} from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import {createServer as createTlsServer} from 'node:https'
import type {AddressInfo} from 'node:net'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export type Script = (request: Seen, response: ServerResponse, count: number) => void

export interface ScriptedServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  readonly origin: string
  readonly seen: readonly Seen[]
  url(path: string): URL
}

export interface KeyPair {
  readonly key: string
  readonly cert: string
}

/** `count` is how many requests the script has seen before. */
export async function scriptedServer(script: Script, tls?: KeyPair): Promise<ScriptedServer> {
  const seen: Seen[] = []
  const listener: RequestListener = (request, response) => {
    void answer(request, response)
  }
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const entry = {body: Buffer.concat(chunks).toString(), headers: request.headers, method: request.method ?? '', path: request.url ?? ''}
    seen.push(entry)
    script(entry, response, seen.length - 1)
  }
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer({...tls}, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const origin = `${tls === undefined ? 'http' : 'https'}://${host}`
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
    host,
    origin,
    seen,
    url: (path) => new URL(path, origin),
  }
}

/** Sends the head and a part of the body, then breaks the connection. */
export function cutAfter(response: ServerResponse, body: Buffer, bytes: number, headers: Record<string, string> = {}, status = 200): void {
  response.writeHead(status, {'Content-Length': String(body.length), ...headers})
  response.write(body.subarray(0, bytes), () => response.destroy())
}

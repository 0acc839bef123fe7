import type {Agent, ClientRequest, IncomingMessage} from 'node:http'
import type {Socket} from 'node:net'
import {timeoutError} from './failures.ts'

export interface Exchange {
  readonly agent: Agent
  readonly body: string | undefined
  readonly connectTimeoutMs: number
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number
  readonly method: string
  readonly signal: AbortSignal | undefined
  /** Without user and password. */
  readonly url: URL
}

/** One request and the head of its answer; no redirects. The errors are those of node:http, and RKT_HTTP_TIMEOUT. */
export async function exchange(options: Exchange): Promise<IncomingMessage> {
  const {agent, body, headers, idleTimeoutMs, method, signal, url} = options
  const {request} = url.protocol === 'https:' ? await import('node:https') : await import('node:http')
  return await new Promise((resolve, reject) => {
    let response: IncomingMessage | undefined
    const sent = request(url, {agent, headers, method, timeout: idleTimeoutMs, ...(signal === undefined ? {} : {signal})}, (answer) => {
      response = answer
      resolve(answer)
    })
    const connected = limitConnecting(sent, options)
    sent.on('error', (error) => {
      connected()
      reject(error)
    })
    sent.on('timeout', () => {
      // A reader that is slower than the server stops the socket as well: that is no silence.
      if (response !== undefined && response.readableLength > 0) {
        sent.socket?.setTimeout(idleTimeoutMs)
        return
      }
      const error = timeoutError(url, `${url.host} sent nothing for ${seconds(idleTimeoutMs)}`)
      if (response === undefined) sent.destroy(error)
      else response.destroy(error)
    })
    sent.end(body)
  })
}

/** Gives up when there is no connection in time, TLS included; the result stops the watch. */
function limitConnecting(sent: ClientRequest, {connectTimeoutMs, url}: Exchange): () => void {
  const late = () => sent.destroy(timeoutError(url, `no connection to ${url.host} within ${seconds(connectTimeoutMs)}`))
  const timer = setTimeout(late, connectTimeoutMs)
  const connected = () => clearTimeout(timer)
  sent.once('socket', (socket: Socket & {readonly secureConnecting?: boolean}) => {
    if (sent.reusedSocket) connected()
    else if (socket.secureConnecting) socket.once('secureConnect', connected)
    else if (socket.connecting) socket.once('connect', connected)
    else connected()
  })
  sent.once('close', connected)
  return connected
}

const seconds = (ms: number): string => `${ms / 1000} ${ms === 1000 ? 'second' : 'seconds'}`

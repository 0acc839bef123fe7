import {EngineCommand, Flags, RktError, takeListenFds} from '@rkt/engine'

const defaultAddress = 'localhost:15441'

export default class ApiService extends EngineCommand {
  static override description = `Pods and images can be listed, inspected and watched over gRPC; docs/api-service.md has the methods.

The service is read only. It needs no root: it sees what its user may read. It listens on the sockets that systemd hands over, if any.`
  static override flags = {
    listen: Flags.string({defaultText: `"${defaultAddress}"`, description: 'address to listen on for gRPC requests: HOST:PORT'}),
  }
  static override summary = 'Run API service'
  static override usage = '[--listen=HOST:PORT]'

  async run(): Promise<void> {
    const {flags} = await this.parse(ApiService)
    this.note('API service starting...')
    const handed = takeListenFds() ?? []
    if (handed.length > 0 && flags.listen !== undefined) {
      const cause = new Error('started under systemd.socket(5), but --listen passed! Quitting.')
      throw new RktError('RKT_API_LISTEN', 'Failed to open sockets', {cause})
    }
    const address = flags.listen ?? defaultAddress
    const places = handed.length > 0 ? handed.map((fd) => ({fd})) : placesOf(address)
    const ended = new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, resolve)
    })
    await using engine = await this.openEngine()
    const {ApiService: Service} = await import('../api-service.ts')
    const start = Service.start({engine, note: (line) => this.note(line), open: () => this.openEngine()})
    await using service = await start.catch((cause: unknown) => {
      throw new RktError('RKT_API_SERVICE', 'failed to create API service', {cause})
    })
    const ports: (number | undefined)[] = []
    for (const place of places) ports.push(await service.listen(place))
    this.note(`Listening on ${handed.length > 0 ? `${handed.length} systemd-provided socket(s)` : withPort(address, ports[0])}`)
    this.note('API service running')
    await ended
    this.note('API service exiting...')
  }
}

/** `HOST:PORT`, the host in brackets when it has colons; without a host all addresses. */
function placesOf(address: string): {readonly host: string; readonly port: number}[] {
  const [, bracketed, plain = '', digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) {
    throw new RktError('RKT_API_LISTEN', 'could not open tcp socket', {cause: new Error(`${JSON.stringify(address)} is not HOST:PORT`)})
  }
  const host = bracketed ?? plain
  return [{host: host === 'localhost' ? '127.0.0.1' : host === '' ? '::' : host, port}]
}

const withPort = (address: string, port: number | undefined) => (port === undefined ? address : address.replace(/:\d+$/, `:${port}`))

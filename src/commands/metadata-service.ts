import {EngineCommand, Flags} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {takeListenFds} from '../native/index.ts'
import {metadataSocket} from '../pod/index.ts'

const defaultPort = 18112

export default class MetadataService extends EngineCommand {
  static override description = `Pods that are run with --mds-register find the service at $AC_METADATA_URL.

It takes registrations on /run/rkt/metadata-svc.sock, or on the socket that systemd hands over.`
  static override flags = {'listen-port': Flags.integer({default: defaultPort, description: 'listen port'})}
  static override summary = 'Run metadata service'

  async run(): Promise<void> {
    const {flags} = await this.parse(MetadataService)
    const port = flags['listen-port']
    if (port < 0 || port > 65_535)
      throw new RktError('RKT_METADATA_LISTEN', `error listening on port ${port}`, {cause: new Error('no such port')})
    const registration = this.#registration()
    const {MetadataService: Service} = await import('../metadata/index.ts')
    await using engine = await this.openEngine()
    this.note('metadata service starting...')
    const ended = new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, resolve)
    })
    await using _service = await Service.start({note: (line) => this.note(line), pods: engine.pods, port, registration})
    this.note('metadata service running...')
    await ended
    this.note('metadata service exiting...')
  }

  #registration(): string | number {
    const handed = takeListenFds()
    if (handed === undefined) return metadataSocket
    const [socket] = handed
    if (socket === undefined) throw new RktError('RKT_LISTEN_FDS', 'LISTEN_FDS < 1')
    return socket
  }
}

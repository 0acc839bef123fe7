import {Args, EngineCommand, Flags, parseDuration} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {isMutable, type LogLine, logDirectory, loggedApps, PodContents, readLogs} from '../pod/index.ts'

export default class Logs extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it', required: true})}
  static override description =
    `Shows the lines that apps wrote to standard output and standard error in mode "log", each on the stream that it was written to,
also of a pod that has ended. In a pod of several apps the name of its app stands before each line, unless --app chooses one.`
  static override flags = {
    app: Flags.string({default: '', description: 'only the lines of this app'}),
    follow: Flags.boolean({description: 'go on with what is written, until the pod has ended'}),
    since: Flags.custom({
      description: 'only lines from then on: a time (2026-01-31T12:00:00Z) or a duration before now (10m)',
      parse: parseSince,
    }),
    tail: Flags.custom({description: 'only the last lines, so many', parse: parseCount}),
    timestamps: Flags.boolean({description: 'the time before each line'}),
  }
  static override summary = 'Show the logs of the apps of a pod'
  static override usage = '[--app=APPNAME] [--follow] [--since=TIME|DURATION] [--tail=N] [--timestamps] UUID'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Logs)
    await using engine = await this.openEngine()
    const pod = engine.pods.get(args.pod)
    const manifest = new PodContents(pod).manifest()
    const names = manifest.apps.map(({name}): string => name)
    // Apps that were removed have left their logs, and more may come.
    const comeAndGo = isMutable(manifest)
    const all = comeAndGo ? [...new Set([...names, ...(await loggedApps(logDirectory(pod)))])] : names
    if (flags.app !== '' && !all.includes(flags.app))
      throw new RktError('RKT_POD_APP', 'unable to find app', {cause: new Error(`app ${flags.app} is not present in pod`)})
    const apps = flags.app === '' ? (comeAndGo ? undefined : all) : [flags.app]
    const {follow, since, tail, timestamps} = flags
    const labelled = flags.app === '' && (all.length > 1 || (comeAndGo && follow))
    const open = new Map<string, boolean>()
    for await (const line of readLogs(engine.pods, pod, {apps, follow, since, tail})) this.#show(line, {labelled, open, timestamps})
  }

  #show(
    {app, stream, text, time, whole}: LogLine,
    {labelled, open, timestamps}: {readonly labelled: boolean; readonly open: Map<string, boolean>; readonly timestamps: boolean},
  ): void {
    // The rest of a line stands behind its beginning, unless another app wrote meanwhile.
    const key = `${app} ${stream}`
    const begins = open.get(key) !== true
    open.set(key, !whole)
    const label = begins ? `${timestamps ? `${time} ` : ''}${labelled ? `${app}: ` : ''}` : ''
    const bytes = Buffer.concat([Buffer.from(label), text, Buffer.from(whole ? '\n' : '')])
    if (stream === 'stdout') this.write(bytes)
    else this.writeError(bytes)
  }
}

const rfc3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/** The time as logs say it, to compare by text. */
function parseSince(text: string): string {
  const match = rfc3339.exec(text)
  if (!match) return new Date(Date.now() - parseDuration(text)).toISOString().slice(0, -1)
  const [, day, clock, fraction = '', zone = 'Z'] = match
  const at = new Date(`${day}T${clock}${zone.toUpperCase()}`)
  if (Number.isNaN(at.getTime())) throw new Error(`${JSON.stringify(text)} is not a time`)
  return `${at.toISOString().slice(0, 19)}${fraction || '.0'}`
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error('not a number of lines')
  return Number(text)
}

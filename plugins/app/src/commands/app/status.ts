import {Args, absoluteTime, EngineCommand, Flags, RktError, reportApps} from '@rkt/engine'
import {appFlag} from '../../app-flag.ts'
import {explained, required} from '../../failures.ts'

type Report = ReturnType<typeof reportApps>[number]

export default class AppStatus extends EngineCommand {
  static override args = {pod: Args.string({description: 'UUID of the pod, or a unique prefix of it'})}
  static override flags = {
    ...appFlag,
    format: Flags.custom({
      description: 'output in this format instead of lines: json or json-pretty',
      parse(text) {
        if (text !== 'json' && text !== 'json-pretty') throw new Error(`Invalid format option: ${text}`)
        return text
      },
      values: ['json', 'json-pretty'],
    }),
  }
  static override summary = 'Print the status of an app'
  static override usage = 'UUID --app=NAME [--format=json]'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(AppStatus)
    const text = required(args.pod, 'must provide the pod UUID', 1)
    const name = required(flags.app, 'must provide the app', 1)
    await using engine = await this.openEngine()
    const apps = await explained('error getting app status', async () => reportApps(engine.pods.get(text)), 1)
    const app = apps.find((one) => one.name === name)
    if (!app) throw new RktError('RKT_POD_APP', `cannot find app ${JSON.stringify(name)} in the pod`, {exitCode: 1})
    if (flags.format !== undefined) this.print(JSON.stringify(app, null, flags.format === 'json-pretty' ? '\t' : undefined))
    else for (const line of lines(app)) this.print(line)
  }
}

function lines(app: Report): string[] {
  const time = (name: string, value: Report['created_at']) =>
    value === undefined ? [] : [`${name}=${absoluteTime(new Date(Number(BigInt(JSON.stringify(value)) / 1_000_000n)))}`]
  const pairs = (name: string, map: Readonly<Record<string, string>> | undefined) =>
    map
      ? [
          `${name}=`,
          Object.entries(map)
            .map(([key, value]) => `${key}:${value}`)
            .join(','),
        ]
      : []
  const mounts = app.mounts?.map((mount) => `${mount.host_path}:${mount.container_path}:(read_only:${mount.read_only})`)
  return [
    `name=${app.name}`,
    `state=${app.state}`,
    ...(app.image_id === undefined ? [] : [`image_id=${app.image_id}`]),
    ...time('created_at', app.created_at),
    ...time('started_at', app.started_at),
    ...time('finished_at', app.finished_at),
    ...(app.exit_code === undefined ? [] : [`exit_code=${app.exit_code}`]),
    ...(mounts ? ['mounts=', mounts.join(',')] : []),
    ...pairs('user_annotations', app.user_annotations),
    ...pairs('user_labels', app.user_labels),
  ]
}

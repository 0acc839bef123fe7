import {absoluteTime, EngineCommand, Flags, parseDuration, UsageError} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {formatNetworks, type Pod, PodContents, reportPod, toDate, waitUntilFinished, waitUntilReady} from '../pod/index.ts'
import {formatFlag, formatJson} from './_format.ts'
import {oneUuid, uuidFileFlag} from './_pods.ts'

const waitFlag = (description: string) => Flags.optional({bare: 'true', default: 'false', description})

export default class Status extends EngineCommand {
  static override flags = {
    ...uuidFileFlag,
    ...formatFlag,
    wait: waitFlag('wait until the pod has ended, for a duration if one is given'),
    'wait-ready': waitFlag('wait until the pod is ready, for a duration if one is given'),
  }
  static override strict = false
  static override summary = 'Check the status of a rkt pod'
  static override usage = '[--wait=bool|timeout] [--wait-ready=bool|timeout] UUID | --uuid-file FILE'

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(Status)
    const text = oneUuid(argv, flags['uuid-file'], 1)
    const [wait, waitReady] = [patience(flags.wait), patience(flags['wait-ready'])]
    await using engine = await this.openEngine()
    const {pods} = engine
    let pod: Pod | undefined = pods.get(text)
    const {uuid} = pod
    if (waitReady) pod = await waitUntilReady(pods, uuid, waitReady.timeoutMs)
    if (wait) pod = await waitUntilFinished(pods, uuid, wait.timeoutMs)
    if (!pod) throw new RktError('RKT_POD_RETRIEVE', `pod "${uuid}" was not present`)
    if (flags.format === undefined) for (const line of statusLines(pod)) this.print(line)
    else this.print(formatJson(this.#report(pod), flags.format))
  }

  #report(pod: Pod): unknown {
    try {
      return reportPod(pod)
    } catch (cause) {
      throw new RktError('RKT_POD_STATUS', 'unable to print status', {cause})
    }
  }
}

/** How long to wait: undefined not at all; without a limit for ever. */
function patience(text: string): {readonly timeoutMs: number | undefined} | undefined {
  if (['', '1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return {timeoutMs: undefined}
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return undefined
  try {
    const timeoutMs = parseDuration(text)
    if (timeoutMs === 0) return undefined
    return {timeoutMs: timeoutMs < 0 ? undefined : timeoutMs}
  } catch {
    throw new UsageError()
  }
}

const statesWithPid = ['running', 'deleting', 'exited deleting', 'exited', 'exited garbage']

function statusLines(pod: Pod): string[] {
  const contents = new PodContents(pod)
  const {state} = pod
  const created = contents.createdAt()
  const started = contents.startedAt()
  const lines = [`state=${state}`]
  if (created !== undefined) lines.push(`created=${absoluteTime(toDate(created))}`)
  if (started !== undefined) lines.push(`started=${absoluteTime(toDate(started))}`)
  if (state === 'running' || state === 'exited') lines.push(`networks=${formatNetworks(contents.networks())}`)
  if (!statesWithPid.includes(state)) return lines
  const pid = contents.pid()
  if (pid !== undefined) lines.push(`pid=${pid}`)
  lines.push(`exited=${state === 'exited' || state === 'exited garbage'}`)
  // Statuses of apps that have ended while others run are known too, and a script may want them.
  const statuses = exitStatuses(contents, state)
  for (const [name, status] of statuses) lines.push(`app-${name}=${status}`)
  for (const [name] of statuses) {
    const call = contents.refusedCall(name)
    // Not below app-: what reads those lines expects a number, and any app-NAME may be an app's.
    if (call !== undefined) lines.push(`syscall-${name}=${call}`)
  }
  return lines
}

function exitStatuses(contents: PodContents, state: Pod['state']): [name: string, status: number][] {
  if (state === 'deleting') return []
  const root = contents.stage1Root()
  return contents.manifest().apps.flatMap(({name}) => {
    const status = contents.exitStatus(name, root)
    return status === undefined ? [] : [[name, status] as [string, number]]
  })
}

import {type ImageManifest, labelValue, type RuntimeApp} from '../appc/index.ts'
import {absoluteTime, EngineCommand, Flags, formatTable, relativeTime} from '../cli/index.ts'
import {causeChain, RktError} from '../errors.ts'
import {
  formatNetworks,
  hasCreationTime,
  hasManifest,
  nameableDirectories,
  type Pod,
  PodContents,
  type PodReport,
  reportPod,
  toDate,
} from '../pod/index.ts'
import {formatFlag, formatJson} from './_format.ts'

export default class List extends EngineCommand {
  static override flags = {
    ...formatFlag,
    full: Flags.boolean({description: 'use long output format'}),
    'no-legend': Flags.boolean({description: 'suppress a legend with the list'}),
  }
  static override summary = 'List pods'

  async run(): Promise<void> {
    const {flags} = await this.parse(List)
    await using engine = await this.openEngine()
    let pods: Pod[]
    try {
      pods = engine.pods.list(nameableDirectories)
    } catch (cause) {
      throw new RktError('RKT_POD_LIST', 'failed to get pod handles', {cause})
    }
    const problems: string[] = []
    if (flags.format === undefined) this.#printTable(pods, flags, problems)
    else this.print(formatJson(reports(pods, problems), flags.format))
    if (problems.length > 0) for (const line of problemLines(problems)) this.note(line)
  }

  #printTable(pods: readonly Pod[], {full, 'no-legend': noLegend}: {full: boolean; 'no-legend': boolean}, problems: string[]): void {
    const legend = ['UUID', 'APP', 'IMAGE NAME', ...(full ? ['IMAGE ID'] : []), 'STATE', 'CREATED', 'STARTED', 'NETWORKS']
    const now = new Date()
    const time = (date: Date) => (full ? absoluteTime(date) : relativeTime(date, now))
    const rows = pods.flatMap((pod) => {
      try {
        return rowsOf(pod, {full, time}, problems)
      } catch (error) {
        problems.push(`Unable to read pod ${pod.uuid} manifest:\n  ${causeChain(error).at(-1)}`)
        return []
      }
    })
    const table = formatTable([...(noLegend ? [] : [legend]), ...rows])
    if (table !== '') this.print(table)
  }
}

/** The creation time that a pod without one is shown with: as long ago as can be. */
const never = new Date('0001-01-01T00:00:00Z')

interface RowStyle {
  readonly full: boolean
  readonly time: (date: Date) => string
}

function rowsOf(pod: Pod, {full, time}: RowStyle, problems: string[]): string[][] {
  const contents = new PodContents(pod)
  const created = hasCreationTime(pod.state) ? contents.createdAt() : undefined
  const started = contents.startedAt()
  const times = [time(created === undefined ? never : toDate(created)), started === undefined ? '' : time(toDate(started))]
  const apps = hasManifest(pod.state) ? readApps(contents, pod, problems) : []
  const uuid = full ? pod.uuid : pod.uuid.slice(0, 8)
  const behind = [pod.state, ...times, formatNetworks(contents.networks())]
  if (apps.length === 0) return [[uuid, '-', '-', ...(full ? ['-'] : []), ...behind]]
  return apps.map((app, index) => [
    index === 0 ? uuid : '',
    app.name,
    imageName(contents, app, pod, problems),
    ...(full ? [app.image.id?.slice(0, 19) ?? '-'] : []),
    ...(index === 0 ? behind : behind.map(() => '')),
  ])
}

function readApps(contents: PodContents, {uuid}: Pod, problems: string[]): readonly RuntimeApp[] {
  try {
    return contents.manifest().apps
  } catch (error) {
    problems.push(`Unable to read pod ${uuid} manifest:\n  ${causeChain(error).at(-1)}`)
    return []
  }
}

/** Read from the pod, so that it is known when the image has left the store. */
function imageName(contents: PodContents, {name}: RuntimeApp, {uuid}: Pod, problems: string[]): string {
  let manifest: ImageManifest
  try {
    manifest = contents.imageManifest(name)
  } catch {
    problems.push(`pod ${uuid} ImageManifest could not be loaded`)
    return '--'
  }
  const version = labelValue(manifest.labels, 'version')
  return version === undefined ? manifest.name : `${manifest.name}:${version}`
}

/** Null when there are no pods, as scripts know it. */
function reports(pods: readonly Pod[], problems: string[]): PodReport[] | null {
  const all = pods.flatMap((pod) => {
    try {
      return [reportPod(pod)]
    } catch (error) {
      problems.push(`pod ${pod.uuid}: ${causeChain(error).at(-1)}`)
      return []
    }
  })
  return all.length === 0 ? null : all
}

function problemLines(problems: readonly string[]): string[] {
  const rule = '-'.repeat(40)
  return [
    `${problems.length} error(s) encountered when listing pods:`,
    rule,
    ...problems.flatMap((problem) => [...problem.split('\n'), rule]),
    'misc:',
    "  rkt's appc version: 0.8.11",
    '',
  ]
}

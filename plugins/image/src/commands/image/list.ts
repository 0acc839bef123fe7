import {absoluteTime, type Engine, EngineCommand, Flags, formatTable, humanSize, RktError, relativeTime} from '@rkt/engine'
import {type ListedImage, listImages, nameOf, SORT_KEYS, sizeOf} from '../../list-images.ts'

const FIELDS = ['id', 'name', 'size', 'importtime', 'lastused'] as const
type Field = (typeof FIELDS)[number]

const HEADERS: Readonly<Record<Field, string>> = {
  id: 'ID',
  importtime: 'IMPORT TIME',
  lastused: 'LAST USED',
  name: 'NAME',
  size: 'SIZE',
}
const FORMATS = ['json', 'json-pretty']
const SHORT_ID = 'sha512-'.length + 12

export default class ImageList extends EngineCommand {
  static override flags = {
    fields: Flags.options({default: FIELDS, description: 'comma-separated list of fields to display', values: FIELDS}),
    format: Flags.custom({
      description: 'output in this format instead of a table: json or json-pretty',
      parse(text) {
        if (!FORMATS.includes(text)) throw new Error(`Invalid format option: ${text}`)
        return text
      },
      values: FORMATS,
    }),
    full: Flags.boolean({description: 'use long output format'}),
    'no-legend': Flags.boolean({description: 'suppress a legend with the list'}),
    order: Flags.custom({
      default: 'asc',
      defaultText: '"asc"',
      description: 'choose the sorting order if at least one sort field is provided: asc or desc',
      parse(text) {
        if (text !== 'asc' && text !== 'desc') throw new Error('wrong sort order')
        return text
      },
      values: ['asc', 'desc'],
    }),
    sort: Flags.options({default: ['importtime'], description: 'sort the output by the values of these fields', values: SORT_KEYS}),
  }
  static override description = 'An image that came from several places under several names is listed once for each name.'
  static override summary = 'List images in the local store'

  async run(): Promise<void> {
    const {flags} = await this.parse(ImageList)
    await using engine = await this.openEngine()
    const {images, problems} = await listImages(engine, flags.sort, flags.order === 'desc').catch((cause: unknown) => {
      throw new RktError('RKT_IMAGE_LIST', 'cannot get image infos', {cause})
    })
    if (flags.format !== undefined) this.print(toJson(images, {pretty: flags.format === 'json-pretty', store: engine.store}))
    else {
      const rows = images.map((image) => flags.fields.map((field) => cell(image, field, flags.full)))
      const table = formatTable([...(flags['no-legend'] ? [] : [flags.fields.map((field) => HEADERS[field])]), ...rows])
      this.write(table)
    }
    this.#report(problems)
  }

  #report(problems: readonly string[]): void {
    if (problems.length === 0) return
    const rule = '-'.repeat(40)
    this.note(`${problems.length} error(s) encountered when listing images:`)
    this.note(rule)
    for (const problem of problems) {
      for (const line of problem.split('\n')) this.note(line)
      this.note(rule)
    }
    this.note('misc:')
    this.note("  rkt's appc version: 0.8.11")
    this.note('')
  }
}

function cell(image: ListedImage, field: Field, full: boolean): string {
  const time = (date: Date) => (full ? absoluteTime(date) : relativeTime(date))
  switch (field) {
    case 'id':
      return full ? image.key : image.key.slice(0, SHORT_ID)
    case 'name':
      return nameOf(image)
    case 'size':
      return full ? String(sizeOf(image)) : humanSize(sizeOf(image))
    case 'importtime':
      return time(image.importTime)
    case 'lastused':
      return time(image.lastUsed)
  }
}

/** `null` for none, as scripts know it. Times are nanoseconds, which only text can hold. */
function toJson(images: readonly ListedImage[], {pretty, store}: {pretty: boolean; store: Engine['store']}): string {
  if (images.length === 0) return 'null'
  // of ECMAScript 2026, and in every Node that we run on
  const {rawJSON} = JSON as unknown as {rawJSON(text: string): unknown}
  const nanoseconds = (date: Date) => rawJSON(String(BigInt(date.getTime()) * 1_000_000n))
  const digestOf = ({key}: ListedImage) => {
    const oci = store.oci(key)
    return oci === null ? {} : {oci_digest: oci.manifest}
  }
  const values = images.map((image) => ({
    id: image.key,
    name: nameOf(image),
    import_time: nanoseconds(image.importTime),
    last_used_time: nanoseconds(image.lastUsed),
    size: sizeOf(image),
    source: image.source,
    sources: image.sources,
    ...digestOf(image),
  }))
  return JSON.stringify(values, null, pretty ? '\t' : undefined)
}

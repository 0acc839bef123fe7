import {Args, buildImage, EngineCommand, Flags} from '@rkt/engine'

/** Seconds since 1970 as the reproducible builds of other tools take them. */
const EPOCH = '0'

function parseTimestamp(text: string): Date | undefined {
  if (text === 'keep') return undefined
  if (/^\d{1,11}$/.test(text)) return new Date(Number(text) * 1000)
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw new Error('must be seconds since 1970, a date like 2020-01-31T12:00:00Z, or keep')
  return date
}

export default class ImageBuild extends EngineCommand {
  static override args = {
    directory: Args.string({description: 'a directory with manifest and rootfs', required: true}),
    output: Args.string({description: 'the ACI file to write', required: true}),
  }
  static override description =
    'The same directory gives the same archive, byte by byte, wherever it is built: the times of files are replaced by one ' +
    '(--timestamp, else SOURCE_DATE_EPOCH, else 1970). With --timestamp=keep files keep theirs.'
  static override flags = {
    'no-compression': Flags.boolean({description: 'do not gzip-compress the archive'}),
    overwrite: Flags.boolean({description: 'overwrite an existing archive'}),
    'owner-root': Flags.boolean({description: 'every file belongs to root'}),
    timestamp: Flags.string({description: 'time of every file: seconds since 1970, a date, or keep'}),
  }
  static override summary = 'Build an image from a directory with a manifest and a rootfs'

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ImageBuild)
    await buildImage(args.directory, args.output, {
      compress: !flags['no-compression'],
      overwrite: flags.overwrite,
      ownerRoot: flags['owner-root'],
      timestamp: parseTimestamp(flags.timestamp ?? process.env.SOURCE_DATE_EPOCH ?? EPOCH),
    })
  }
}

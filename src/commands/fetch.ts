import {EngineCommand, Flags} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {imageFlags, imageReferences, pullFlags, pullPolicy} from '../options/index.ts'

/** Digits that people are shown: what two images of one store never share. */
const SHORT_ID = 'sha512-'.length + 32

export default class Fetch extends EngineCommand {
  static override description = `Locates and downloads remote images and their signatures, or reads files, into the local store.
${imageReferences}`
  static override flags = {
    ...pullFlags,
    full: Flags.boolean({description: 'print the full image hash after fetching'}),
    'pull-policy': {...pullFlags['pull-policy'], default: 'update', defaultText: '"update"'},
    quiet: Flags.boolean({description: 'show no progress, only the image hashes and failures'}),
    signature: imageFlags.signature,
  }
  static override interspersed = false
  static override strict = false
  static override summary = 'Fetch image(s) and store them in the local store'
  static override usage = 'IMAGE...'

  async run(): Promise<void> {
    const {flags, images} = await this.parseImages(Fetch, {appArguments: false, failure: 'unable to parse arguments'})
    if (images.length === 0) throw new RktError('RKT_BAD_ARGUMENTS', 'must provide at least one image')
    const policy = pullPolicy(flags)
    const {findImage, ImportError} = await import('../image/index.ts')
    await using engine = await this.openEngine()
    const {insecure} = this.globals
    const keys: string[] = []
    for (const {flags: image, reference} of images) {
      const options = {
        dependencies: true,
        insecure,
        progress: flags.quiet ? undefined : process.stderr,
        pullPolicy: policy,
        render: true,
        signature: image.signature,
      }
      try {
        keys.push(await findImage(engine, reference, options))
      } catch (error) {
        // what failed names itself; only an archive's content does not
        throw error instanceof RktError && !(error instanceof ImportError) ? innermostOnly(error) : error
      }
    }
    for (const key of keys) this.print(flags.full ? key : key.slice(0, SHORT_ID))
  }
}

/** Documented: a failure of fetching is its innermost cause alone, the rest is for `--debug`. */
function innermostOnly(error: RktError): RktError {
  return error.cause === undefined ? error : new RktError(error.code, '', {cause: error, exitCode: error.exitCode, hint: error.hint})
}

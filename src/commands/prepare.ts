import {EngineCommand, Flags} from '../cli/index.ts'
import {imageReferences, pullPolicy} from '../options/index.ts'
import {finishPrepare} from '../pod/index.ts'
import {checkAllMounts, checkManifestConflicts, checkPrivateUsers, podFlags, prepareImages, requireImages} from './_preparation.ts'

export default class Prepare extends EngineCommand {
  static override description = `${imageReferences}

Prepared pods are run with "rkt run-prepared UUID".`
  static override flags = {
    ...podFlags,
    quiet: Flags.boolean({description: 'suppress superfluous output on stdout, print only the UUID on success'}),
  }
  static override summary = 'Prepare to run image(s) in a pod in rkt'
  static override usage = '[--volume=name,kind=host,...] [--mount volume=VOL,target=PATH] IMAGE [-- image-args...[---]]...'

  async run(): Promise<void> {
    const {flags, images} = await this.parseImages(Prepare)
    this.requireNamespace()
    pullPolicy(flags)
    checkPrivateUsers(flags)
    checkAllMounts(flags, images)
    checkManifestConflicts(flags, images)
    requireImages(flags, images)

    await using engine = await this.openEngine()
    const {pod} = await prepareImages(engine, flags, images, {
      imageFailure: 'error finding images',
      note: (line) => this.note(line),
      quiet: flags.quiet,
    })
    await finishPrepare(engine, pod)
    this.print(pod.uuid)
  }
}

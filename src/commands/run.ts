import {writeFileSync} from 'node:fs'
import {EngineCommand, Flags} from '../cli/index.ts'
import {RktError} from '../errors.ts'
import {systemError} from '../native/index.ts'
import {checkPortNetworks, checkRegistration, imageReferences, networkFlags, networksOf, pullPolicy, runOptions} from '../options/index.ts'
import {becomePod, orRemoved, setUpPod} from '../pod/index.ts'
import {checkAllMounts, checkManifestConflicts, checkPrivateUsers, podFlags, prepareImages, requireImages} from './_preparation.ts'

export default class Run extends EngineCommand {
  static override description = `${imageReferences}

Volumes are made available to the pod via --volume.
Mounts bind volumes into each image's root within the pod via --mount.
--mount is position-sensitive; occurring before any images applies to all images,
occurring after any images applies only to the nearest preceding image.

An "--" may be used to inhibit rkt run's parsing of subsequent arguments,
which will instead be appended to the preceding image app's exec arguments.
End the image arguments with a lone "---" to resume argument parsing.`
  static override flags = {
    ...podFlags,
    ...networkFlags,
    'uuid-file-save': Flags.string({completes: 'file', description: 'write out pod UUID to specified file'}),
  }
  static override summary = 'Run image(s) in a pod in rkt'
  static override usage = '[--volume=name,kind=host,...] [--mount volume=VOL,target=PATH] IMAGE [-- image-args...[---]]...'

  async run(): Promise<void> {
    const {flags, images} = await this.parseImages(Run)
    this.requireNamespace()
    checkAllMounts(flags, images)
    pullPolicy(flags)
    checkPrivateUsers(flags)
    const networks = networksOf(flags)
    checkPortNetworks(flags, networks)
    checkManifestConflicts(flags, images)
    if (flags.interactive && images.length > 1) throw new RktError('RKT_BAD_ARGUMENTS', 'interactive option only supports one image')
    requireImages(flags, images)
    checkRegistration(flags, networks)
    const options = runOptions(flags, networks, this.globals.localConfig)

    await using engine = await this.openEngine()
    const file = flags['uuid-file-save']
    const {pod, prepared} = await prepareImages(engine, flags, images, {
      note: (line) => this.note(line),
      ...(file !== undefined && {created: ({uuid}) => saveUuid(file, uuid)}),
    })
    const launch = await orRemoved(engine, pod, () => setUpPod(engine, pod, prepared, options))
    await becomePod(engine, pod, launch)
  }
}

/** Scripts read the file as it is: 36 characters, no newline. */
function saveUuid(path: string, uuid: string): void {
  try {
    writeFileSync(path, uuid, {mode: 0o644})
  } catch (error) {
    throw new RktError('RKT_UUID_FILE', 'error saving pod UUID to file', {cause: systemError('open', path, error)})
  }
}

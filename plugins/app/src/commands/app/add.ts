import {
  addApp,
  appOverrides,
  checkMounts,
  EngineCommand,
  environmentRequest,
  Flags,
  generatePodManifest,
  imageFlags,
  packageVersion,
  parseMountVolume,
  preparationFlags,
  RktError,
  readyPod,
  resolveStoredName,
} from '@rkt/engine'
import {explained, required} from '../../failures.ts'

const noImage = 'an image is required before any MountVolumes'

export default class AppAdd extends EngineCommand {
  static override description = `The image is one of the local store. The app is added, and started by "rkt app start".`
  static override flags = {
    ...imageFlags,
    'mnt-volume': Flags.custom({
      description:
        'volume for the app alone, and where it has it: name=NAME,kind=host,source=PATH,target=PATH or name=NAME,kind=empty,target=PATH, with readOnly=true and what else --volume of run takes',
      multiple: true,
      mustFollow: noImage,
      parse: parseMountVolume,
      perImage: true,
    }),
    'inherit-env': preparationFlags['inherit-env'],
    'set-env': preparationFlags['set-env'],
    'set-env-file': preparationFlags['set-env-file'],
  }
  static override strict = false
  static override summary = 'Add an app to a pod'
  static override usage = 'UUID IMAGEID [--name=NAME] [IMAGE OPTIONS] [-- image-args...]'

  async run(): Promise<void> {
    const {flags, images} = await this.parseImages(AppAdd)
    this.requireRoot()
    const [pod, image, ...more] = images
    if (pod?.flags['mnt-volume'].length) throw new RktError('RKT_BAD_ARGUMENTS', noImage)
    if (!pod || !image) throw new RktError('RKT_BAD_ARGUMENTS', 'must provide the pod UUID and an IMAGEID')
    if (more.length > 0) throw new RktError('RKT_BAD_ARGUMENTS', 'must give only one app')
    checkMounts([...flags.mount, ...image.flags.mount], [])
    await using engine = await this.openEngine()
    const target = await readyPod(engine, required(pod.reference, 'must provide the pod UUID'))
    const key = await explained('error finding images', async () => resolveStoredName(engine.store, image.reference))
    const name = await explained('error adding app to pod', async () =>
      addApp(engine, target, key, (found) => {
        const own = appOverrides(image.flags, [])
        const overrides = {...own, mounts: [...own.mounts, ...image.flags['mnt-volume']]}
        const [app] = generatePodManifest({
          apps: [{image: found.key, manifest: found.manifest, overrides}],
          caller: {gid: process.getgid?.() ?? 0, uid: process.getuid?.() ?? 0},
          environment: environmentRequest({...flags, 'no-overlay': false} as never),
          mounts: flags.mount,
          ports: [],
          version: packageVersion(),
          volumes: [],
        }).apps
        if (!app) throw new RktError('RKT_INTERNAL', 'there is no app')
        // Here, other than for run, they replace what the image says.
        const [program, ...args] = app.app?.exec ?? []
        return app.app && program !== undefined
          ? {...app, app: {...app.app, exec: [program, ...(image.args.length > 0 ? image.args : args)]}}
          : app
      }),
    )
    this.debug(`app "${name}" was added to pod "${target.uuid}"`)
  }
}

import {
  addApp,
  appOverrides,
  checkMounts,
  EngineCommand,
  environmentRequest,
  Flags,
  generatePodManifest,
  imageFlags,
  ofOwnVolumes,
  ownVolumes,
  packageVersion,
  parseMountVolume,
  preparationFlags,
  RktError,
  readyPod,
  resolveStoredName,
} from '@rkt/engine'
import {explained} from '../../failures.ts'

export default class AppAdd extends EngineCommand {
  static override description = `The image is one of the local store. The app is added, and started by "rkt app start".`
  static override flags = {
    ...imageFlags,
    'mnt-volume': Flags.custom({
      description:
        'volume for the app alone, and where it has it: name=NAME,kind=host,source=PATH,target=PATH or name=NAME,kind=empty,target=PATH, with readOnly=true and what else --volume of run takes',
      multiple: true,
      mustFollow: 'an image is required before any MountVolumes',
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
    const {
      argv: [pod],
      flags,
      images: [image, ...more],
    } = await this.parseImages(AppAdd, {leading: 1})
    this.requireRoot()
    if (!pod || !image) throw new RktError('RKT_BAD_ARGUMENTS', 'must provide the pod UUID and an IMAGEID')
    if (more.length > 0) throw new RktError('RKT_BAD_ARGUMENTS', 'must give only one app')
    const brought = image.flags['mnt-volume']
    const volumes = ownVolumes(brought)
    checkMounts([...flags.mount, ...image.flags.mount], volumes)
    await using engine = await this.openEngine()
    const target = await readyPod(engine, pod)
    const key = await explained('error finding images', async () => resolveStoredName(engine.store, image.reference))
    const name = await explained('error adding app to pod', async () =>
      addApp(engine, target, key, (found) => {
        const own = appOverrides(image.flags, [])
        const overrides = {...own, mounts: ofOwnVolumes([...own.mounts, ...brought], volumes)}
        const [app] = generatePodManifest({
          apps: [{image: found.key, manifest: found.manifest, overrides}],
          caller: {gid: process.getgid?.() ?? 0, uid: process.getuid?.() ?? 0},
          environment: environmentRequest({...flags, 'no-overlay': false} as never),
          mounts: ofOwnVolumes(flags.mount, volumes),
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

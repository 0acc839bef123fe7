import type {ImageManifest, PodManifest, Volume} from '../appc/index.ts'
import {RktError} from '../errors.ts'

/** The annotation by which a stage1 image says which kinds of propagation it gives to host volumes, as `private,slave,shared`. */
const propagationAnnotation = 'coreos.com/rkt/stage1/volume-propagation'

/** Refuses a pod whose volumes ask for a propagation that its stage1 would silently leave out. */
export function checkPropagation(stage1: ImageManifest, {apps, volumes = []}: PodManifest): void {
  const given = stage1.annotations?.find(({name}) => name === propagationAnnotation)?.value.split(',') ?? []
  const own = apps.flatMap(({mounts = []}) => mounts.flatMap(({appVolume}) => appVolume ?? []))
  for (const volume of [...volumes, ...own]) {
    const wanted = propagationOf(volume)
    if (wanted === undefined || given.includes(wanted)) continue
    throw new RktError('RKT_STAGE1_PROPAGATION', `volume "${volume.name}": stage1 "${stage1.name}" has no propagation=${wanted}`, {
      hint: 'Leave "propagation" out of the volume, or choose another stage1.',
    })
  }
}

const propagationOf = (volume: Volume) => (volume.kind === 'host' ? volume.propagation : undefined)

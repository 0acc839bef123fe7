import {arch, platform as nodePlatform} from 'node:os'
import {RktError} from '../errors.ts'
import type {Descriptor, ImageIndex, Platform} from './documents.ts'
import {isIndexType, isManifestType} from './media-types.ts'

const goArchitectures: Readonly<Record<string, string>> = {
  arm: 'arm',
  arm64: 'arm64',
  ia32: '386',
  ppc64: 'ppc64le',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'amd64',
}

/** This host in Go's words, which images use. */
export function hostPlatform(): Platform {
  const architecture = goArchitectures[arch()] ?? arch()
  return {architecture, os: nodePlatform(), ...(architecture === 'arm' ? {variant: 'v7'} : {})}
}

interface Normal {
  readonly architecture: string
  readonly os: string
  readonly variant: string
}

const aliases: Readonly<Record<string, readonly [string, string]>> = {
  aarch64: ['arm64', ''],
  armel: ['arm', 'v6'],
  armhf: ['arm', 'v7'],
  i386: ['386', ''],
  'x86-64': ['amd64', ''],
  x86_64: ['amd64', ''],
}

function normalize({architecture, os, variant = ''}: Platform): Normal {
  const lower = architecture.toLowerCase()
  const [name, implied] = Object.hasOwn(aliases, lower) ? (aliases[lower] ?? [lower, '']) : [lower, '']
  const given = variant.toLowerCase() || implied
  const plain = (name === 'amd64' && given === 'v1') || (name === 'arm64' && (given === 'v8' || given === '8'))
  return {
    architecture: name,
    os: os.toLowerCase() === 'macos' ? 'darwin' : os.toLowerCase(),
    variant: plain ? '' : name === 'arm' && given === '' ? 'v7' : given,
  }
}

/** What a host runs, best first: its own variant, lower ones, then the compatible 32-bit architecture. */
function preferences(host: Normal): string[] {
  const {architecture, variant} = host
  const number = Number(variant.slice(1)) || 0
  const arm = (from: number) => [8, 7, 6, 5].filter((version) => version <= from).map((version) => `arm/v${version}`)
  switch (architecture) {
    case 'amd64':
      return [...[4, 3, 2].filter((version) => version <= number).map((version) => `amd64/v${version}`), 'amd64/', '386/']
    case 'arm':
      return arm(number || 7)
    case 'arm64': {
      const own = variant === '' ? [] : [`arm64/${variant}`]
      return [...own, 'arm64/', ...arm(8)]
    }
    default:
      return [`${architecture}/${variant}`, ...(variant === '' ? [] : [`${architecture}/`])]
  }
}

/**
 * The entry of an index that fits the host best; of equals the first. Attestations (`unknown/unknown`) and types that are no images
 * are passed over; an entry without a platform fits any host, least well.
 * @throws RktError RKT_NO_PLATFORM, naming what the index offers
 */
export function choosePlatform(index: ImageIndex, host: Platform, what: string): Descriptor {
  const wanted = normalize(host)
  const order = preferences(wanted)
  let best: {readonly entry: Descriptor; readonly rank: number} | undefined
  for (const entry of index.manifests) {
    if (!isManifestType(entry.mediaType) && !isIndexType(entry.mediaType)) continue
    const rank = rankOf(entry.platform, wanted.os, order)
    if (rank !== null && (best === undefined || rank < best.rank)) best = {entry, rank}
  }
  if (best !== undefined) return best.entry
  const offered = index.manifests.flatMap(({platform}) => (platform === undefined || platform.os === 'unknown' ? [] : [describe(platform)]))
  throw new RktError('RKT_NO_PLATFORM', `${what} has no image for ${describe(host)}`, {
    hint: offered.length === 0 ? 'The index names no image at all.' : `It has images for ${[...new Set(offered)].join(', ')}.`,
  })
}

function rankOf(platform: Platform | undefined, os: string, order: readonly string[]): number | null {
  if (platform === undefined) return order.length
  const normal = normalize(platform)
  if (normal.os !== os || (platform.osFeatures?.length ?? 0) > 0) return null
  const rank = order.indexOf(`${normal.architecture}/${normal.variant}`)
  return rank < 0 ? null : rank
}

const describe = ({architecture, os, variant}: Platform): string => `${os}/${architecture}${variant ? `/${variant}` : ''}`

/** Media types of images: OCI's and Docker's schema 2, which mean the same. */
export const mediaTypes = {
  config: ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'],
  index: ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'],
  manifest: ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'],
  schema1: ['application/vnd.docker.distribution.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
} as const

/** What a request for a manifest accepts. */
export const acceptedTypes: readonly string[] = [...mediaTypes.index, ...mediaTypes.manifest]

export const isIndexType = (type: string): boolean => (mediaTypes.index as readonly string[]).includes(type)
export const isManifestType = (type: string): boolean => (mediaTypes.manifest as readonly string[]).includes(type)

const layers: Readonly<Record<string, 'gzip' | 'none' | 'zstd'>> = {
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': 'gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar': 'none',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': 'zstd',
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
}

/** How a layer says that it is compressed (the bytes decide in the end), or null for what is no layer. */
export function layerCompression(type: string): 'gzip' | 'none' | 'zstd' | null {
  return Object.hasOwn(layers, type) ? (layers[type] ?? null) : null
}

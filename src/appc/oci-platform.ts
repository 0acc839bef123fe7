/** The names of platforms in OCI images, which are Go's, and what labels of appc call them. */

export interface OciPlatform {
  readonly os: string
  readonly architecture: string
  /** Of arm only: `v5`, `v6` or `v7`. */
  readonly variant?: string | undefined
}

export interface AcPlatform {
  readonly os: string
  readonly arch: string
}

interface Row extends AcPlatform {
  readonly architecture: string
  /** Variants without the `v`; the first is the one that is written. */
  readonly variants?: readonly string[]
}

const ROWS: readonly Row[] = [
  {arch: 'amd64', architecture: 'amd64', os: 'linux'},
  {arch: 'i386', architecture: '386', os: 'linux'},
  {arch: 'aarch64', architecture: 'arm64', os: 'linux'},
  {arch: 'armv6l', architecture: 'arm', os: 'linux', variants: ['6', '']},
  {arch: 'armv7l', architecture: 'arm', os: 'linux', variants: ['7']},
  {arch: 'ppc64', architecture: 'ppc64', os: 'linux'},
  {arch: 'ppc64le', architecture: 'ppc64le', os: 'linux'},
  {arch: 's390x', architecture: 's390x', os: 'linux'},
  {arch: 'amd64', architecture: 'amd64', os: 'freebsd'},
  {arch: 'i386', architecture: '386', os: 'freebsd'},
  {arch: 'arm', architecture: 'arm', os: 'freebsd', variants: ['', '5', '6', '7']},
  {arch: 'x86_64', architecture: 'amd64', os: 'darwin'},
  {arch: 'i386', architecture: '386', os: 'darwin'},
]

/** The labels of a platform, or undefined for one that appc has no name for. */
export function fromOciPlatform({architecture, os, variant = ''}: OciPlatform): AcPlatform | undefined {
  const row = ROWS.find(
    (candidate) =>
      candidate.os === os &&
      candidate.architecture === architecture &&
      (candidate.variants === undefined || candidate.variants.includes(variant.replace(/^v/, ''))),
  )
  return row && {arch: row.arch, os: row.os}
}

/** The platform of two labels, or undefined where OCI has no name for it: aarch64_be, armv7b, and whatever is unknown. */
export function toOciPlatform({arch, os}: AcPlatform): OciPlatform | undefined {
  const row = ROWS.find((candidate) => candidate.os === os && candidate.arch === arch)
  const variant = row?.variants?.[0]
  return row && {architecture: row.architecture, os, ...(variant ? {variant: `v${variant}`} : {})}
}

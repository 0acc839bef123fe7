import {RktError} from '../errors.ts'
import {parseAcIdentifier} from './names.ts'
import {quote} from './text.ts'
import type {Label} from './types.ts'

/** Every `os` label and the `arch` labels that are valid with it. */
export const KNOWN_PLATFORMS: ReadonlyMap<string, readonly string[]> = new Map([
  ['linux', ['amd64', 'i386', 'aarch64', 'aarch64_be', 'armv6l', 'armv7l', 'armv7b', 'ppc64', 'ppc64le', 's390x']],
  ['freebsd', ['amd64', 'i386', 'arm']],
  ['darwin', ['x86_64', 'i386']],
])

/** What rkt runs. */
const RUNNABLE: ReadonlyMap<string, readonly string[]> = new Map([
  ['linux', ['amd64', 'i386', 'aarch64', 'aarch64_be', 'armv6l', 'armv7l', 'armv7b', 'ppc64le']],
])

/** Node's name, which for most is Go's name too, to the name that a label has. */
const HOST_ARCH: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  arm: 'armv7l',
  arm64: 'aarch64',
  ia32: 'i386',
  ppc64: 'ppc64le',
  s390x: 's390x',
  x64: 'amd64',
}

/** The value of a label or annotation; undefined when the list has none of that name. */
export function labelValue(list: readonly {readonly name: string; readonly value: string}[] | undefined, name: string): string | undefined {
  return list?.find((entry) => entry.name === name)?.value
}

/** The labels of images made for this host: `os` and `arch`. */
export function hostLabels(): Label[] {
  const label = (name: string, value: string): Label => ({name: parseAcIdentifier(name), value})
  return [label('os', 'linux'), label('arch', HOST_ARCH[process.arch] ?? process.arch)]
}

/** What is wrong with an os and an arch by a table, or null. An arch without os means nothing and is not looked at. */
export function platformProblem(
  os: string | undefined,
  arch: string | undefined,
  known: ReadonlyMap<string, readonly string[]> = KNOWN_PLATFORMS,
): string | null {
  if (os === undefined) return null
  const archs = known.get(os)
  if (archs === undefined) return `bad os ${quote(os)} (must be one of: [${[...known.keys()].sort().join(' ')}])`
  if (arch === undefined || archs.includes(arch)) return null
  return `bad arch ${quote(arch)} for ${os} (must be one of: [${archs.join(' ')}])`
}

/** Refuses an image that does not say that it is for a platform of ours. */
export function checkOsArch(labels: readonly Label[] | undefined): void {
  const os = labelValue(labels, 'os')
  const arch = labelValue(labels, 'arch')
  const fail = (problem: string): never => {
    throw new RktError('RKT_BAD_PLATFORM', problem)
  }
  if (os === undefined) fail('missing os label in the image manifest')
  if (arch === undefined) fail('missing arch label in the image manifest')
  const problem = platformProblem(os, arch, RUNNABLE)
  if (problem !== null) fail(problem)
}

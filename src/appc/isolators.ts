/** The isolators that the specification knows, and which of them may stand together. */
import {RktError} from '../errors.ts'
import {
  checkApparmor,
  checkBoolean,
  checkCapabilities,
  checkDefaultResource,
  checkOwnResource,
  checkRange,
  checkSeccomp,
  checkSelinux,
  checkSysctl,
  type ValueCheck,
} from './isolator-values.ts'
import {parseAcIdentifier} from './names.ts'
import {type Path, Problem} from './problem.ts'
import type {ImageManifest, Isolator, JsonValue, PodManifest} from './types.ts'

interface Rule {
  readonly check: ValueCheck
  /** An app has at most one of it. */
  readonly single?: true
  readonly conflict?: string
}

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['resource/cpu', {check: checkOwnResource}],
  ['resource/memory', {check: checkOwnResource}],
  ['resource/block-bandwidth', {check: checkDefaultResource}],
  ['resource/block-iops', {check: checkDefaultResource}],
  ['resource/network-bandwidth', {check: checkDefaultResource}],
  ['os/linux/capabilities-retain-set', {check: checkCapabilities}],
  ['os/linux/capabilities-remove-set', {check: checkCapabilities}],
  ['os/linux/seccomp-retain-set', {check: checkSeccomp, conflict: 'os/linux/seccomp-remove-set', single: true}],
  ['os/linux/seccomp-remove-set', {check: checkSeccomp, conflict: 'os/linux/seccomp-retain-set', single: true}],
  ['os/linux/no-new-privileges', {check: checkBoolean}],
  ['os/linux/oom-score-adj', {check: checkRange(-1000, 1000), single: true}],
  ['os/linux/cpu-shares', {check: checkRange(2, 262144), single: true}],
  ['os/linux/selinux-context', {check: checkSelinux, single: true}],
  ['os/linux/apparmor-profile', {check: checkApparmor, single: true}],
  ['os/unix/sysctl', {check: checkSysctl, single: true}],
])

/** An isolator made here rather than read; an invalid value of a known name is refused. */
export function makeIsolator(name: string, value: JsonValue): Isolator {
  const isolator = {name: parseAcIdentifier(name), value}
  try {
    checkIsolator(isolator, [])
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown
    throw new RktError('RKT_BAD_ISOLATOR', thrown.message)
  }
  return isolator
}

/** The last isolator of a name: the one that counts. */
export function lastIsolator(isolators: readonly Isolator[] | undefined, name: string): Isolator | undefined {
  return isolators?.findLast((isolator) => isolator.name === name)
}

/** Names of isolators that nobody here knows, sorted: they are kept and ignored, and a user should be told of them. */
export function unknownIsolators(manifest: ImageManifest | PodManifest): string[] {
  const lists =
    manifest.acKind === 'ImageManifest' ? [manifest.app?.isolators] : [manifest.isolators, ...manifest.apps.map(({app}) => app?.isolators)]
  const names = lists.flatMap((isolators) => isolators ?? []).map(({name}): string => name)
  return [...new Set(names.filter((name) => !RULES.has(name)))].sort()
}

/** Throws the Problem of the first isolator whose value its name does not allow. */
export function checkIsolators(isolators: readonly Isolator[] | undefined, path: Path): void {
  for (const [index, isolator] of isolators?.entries() ?? []) checkIsolator(isolator, [...path, index, 'value'])
}

/** The same for an app's, which are a set: some stand once, some exclude others. */
export function checkIsolatorSet(isolators: readonly Isolator[] | undefined, path: Path): void {
  checkIsolators(isolators, path)
  const seen = new Set<string>()
  for (const [index, {name}] of isolators?.entries() ?? []) {
    const {conflict, single} = RULES.get(name) ?? {}
    if (single && seen.has(name)) throw new Problem([...path, index], `only one isolator ${name} is allowed`)
    if (conflict !== undefined && seen.has(conflict)) throw new Problem([...path, index], `${name} cannot stand together with ${conflict}`)
    seen.add(name)
  }
}

function checkIsolator({name, value}: Isolator, at: Path): void {
  if (value === null) throw new Problem(at, 'must be set')
  RULES.get(name)?.check(value, at, name)
}

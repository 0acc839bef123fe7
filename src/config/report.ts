import type {Config} from './types.ts'

type Entry = Readonly<Record<string, unknown>>

/** The configuration as `rkt config` prints it: files that would give the same, each key in an entry of its own, sorted. */
export function configReport({auth, dockerAuth, paths, stage1}: Config): {readonly stage0: readonly Entry[]} {
  const entry = (rktKind: string, fields: Entry): Entry => ({rktVersion: 'v1', rktKind, ...fields})
  return {
    stage0: [
      ...byKey(auth).map(([domain, {credentials, type}]) => entry('auth', {domains: [domain], type, credentials})),
      ...byKey(dockerAuth).map(([registry, credentials]) => entry('dockerAuth', {registries: [registry], credentials})),
      entry('paths', {data: paths.data ?? '', 'stage1-images': paths.stage1Images ?? ''}),
      entry('stage1', {name: stage1.name ?? '', version: stage1.version ?? '', location: stage1.location ?? ''}),
    ],
  }
}

function byKey<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

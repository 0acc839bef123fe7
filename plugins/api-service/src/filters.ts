/** What filters of requests let through. A list of them is "or", the conditions of one are "and"; without any, everything passes. */

import type {ImageFilter, KeyValue, Pod, PodFilter} from './generated/v1alpha_pb.js'
import {StatusError} from './server/status.ts'

/** More than a client that means well asks for; every one is tried on everything. */
const maxFilters = 1024
const maxValues = 16_384

/** Refuses what would keep everybody else waiting. */
export function checkFilters(filters: readonly object[]): void {
  const values = filters.reduce<number>((sum, filter) => sum + countValues(filter), 0)
  if (filters.length > maxFilters) throw new StatusError('invalidArgument', `${filters.length} filters are more than ${maxFilters}`)
  if (values > maxValues) throw new StatusError('invalidArgument', `filters of ${values} values have more than ${maxValues}`)
}

const countValues = (filter: object) =>
  Object.values(filter).reduce<number>((sum, value) => sum + (Array.isArray(value) ? value.length : 0), 0)

type Condition<T> = (subject: T) => boolean

/** Whether one of the filters lets a subject through. Sets are made once a request. */
function anyOf<F, T>(filters: readonly F[], conditionsOf: (filter: F) => Condition<T>[]): Condition<T> {
  if (filters.length === 0) return () => true
  const compiled = filters.map(conditionsOf)
  return (subject) => compiled.some((conditions) => conditions.every((condition) => condition(subject)))
}

const unless = <T>(values: readonly unknown[], condition: Condition<T>): Condition<T>[] => (values.length === 0 ? [] : [condition])

function isOneOf<V, T>(values: readonly V[], of: (subject: T) => V): Condition<T>[] {
  const wanted = new Set(values)
  return unless(values, (subject) => wanted.has(of(subject)))
}

function hasAll<T>(values: readonly string[], of: (subject: T) => readonly string[]): Condition<T>[] {
  return unless(values, (subject) => {
    const there = new Set(of(subject))
    return values.every((value) => there.has(value))
  })
}

/** The first value of a key counts. */
function hasPairs<T>(pairs: readonly KeyValue[], of: (subject: T) => readonly KeyValue[]): Condition<T>[] {
  return unless(pairs, (subject) => {
    const there = new Map(
      of(subject)
        .toReversed()
        .map(({Key, value}) => [Key, value]),
    )
    return pairs.every(({Key, value}) => there.get(Key) === value)
  })
}

export function podFilter(filters: readonly PodFilter[]): Condition<Pod> {
  checkFilters(filters)
  return anyOf(filters, (filter) => [
    ...isOneOf(filter.ids, ({id}: Pod) => id),
    ...isOneOf(filter.states, ({state}: Pod) => state),
    ...hasAll(filter.appNames, ({apps}: Pod) => apps.map(({name}) => name)),
    ...hasAll(filter.imageIds, ({apps}: Pod) => apps.map(({image}) => image?.id ?? '')),
    ...hasAll(filter.networkNames, ({networks}: Pod) => networks.map(({name}) => name)),
    ...hasPairs(filter.annotations, ({annotations}: Pod) => annotations),
    ...isOneOf(filter.cgroups, ({cgroup}: Pod) => cgroup),
    ...unless(filter.podSubCgroups, ({cgroup}: Pod) => cgroup !== '' && filter.podSubCgroups.some((sub) => sub.startsWith(cgroup))),
  ])
}

/** What of an image a filter looks at. `names` are all that it is known by. */
export interface FilteredImage {
  readonly id: string
  readonly names: readonly string[]
  readonly importTimestamp: bigint
  readonly labels: readonly KeyValue[]
  readonly annotations: readonly KeyValue[]
}

const baseName = (name: string) => name.slice(name.lastIndexOf('/') + 1)

export function imageFilter(filters: readonly ImageFilter[]): Condition<FilteredImage> {
  checkFilters(filters)
  return anyOf(filters, ({annotations, baseNames, fullNames, ids, importedAfter, importedBefore, keywords, labels, prefixes}) => {
    const [wantedNames, wantedBases] = [new Set(fullNames), new Set(baseNames)]
    const named = (values: readonly string[], fits: (name: string) => boolean) =>
      unless<FilteredImage>(values, ({names}) => names.some(fits))
    return [
      ...isOneOf(ids, ({id}: FilteredImage) => id),
      ...named(fullNames, (name) => wantedNames.has(name)),
      ...named(prefixes, (name) => prefixes.some((prefix) => name.startsWith(prefix))),
      ...named(baseNames, (name) => wantedBases.has(baseName(name))),
      ...named(keywords, (name) => keywords.some((keyword) => name.includes(keyword))),
      ...(importedAfter > 0n ? [({importTimestamp}: FilteredImage) => importTimestamp > importedAfter] : []),
      ...(importedBefore > 0n ? [({importTimestamp}: FilteredImage) => importTimestamp < importedBefore] : []),
      ...hasPairs(labels, ({labels}: FilteredImage) => labels),
      ...hasPairs(annotations, ({annotations}: FilteredImage) => annotations),
    ]
  })
}

import {readFileSync} from 'node:fs'
import {RktError} from '../errors.ts'

/** The identity of a pod: a version 4 UUID in lower case, with dashes. */
export type PodUuid = string & {readonly __brand: 'PodUuid'}

const pattern = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

export function isPodUuid(text: string): text is PodUuid {
  return pattern.test(text)
}

/** A random UUID. The kernel's, because asking WebCrypto for one costs the start of a command milliseconds. */
export function randomPodUuid(): PodUuid {
  return readFileSync('/proc/sys/kernel/random/uuid', 'latin1').trim() as PodUuid
}

/** The one UUID among `known` that starts with `prefix`, whatever the case of its letters. */
export function matchUuid(prefix: string, known: Iterable<PodUuid>): PodUuid {
  if (prefix === '') throw new RktError('RKT_POD_UUID_EMPTY', 'UUID cannot be empty')
  const wanted = prefix.toLowerCase()
  const matches = [...new Set(known)].filter((uuid) => uuid.startsWith(wanted))
  const [only] = matches
  if (only === undefined)
    throw new RktError('RKT_POD_NOT_FOUND', `no matches found for "${wanted}"`, {hint: 'Run "rkt list" to see the pods on this host.'})
  if (matches.length > 1)
    throw new RktError('RKT_POD_UUID_AMBIGUOUS', `ambiguous uuid, ${matches.length} matches`, {hint: 'Give more characters of the UUID.'})
  return only
}

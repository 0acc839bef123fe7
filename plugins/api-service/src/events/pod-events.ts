/** From what is known of a pod before and after a change to what happened. */

import {isAfterRun} from '@rkt/engine'
import {EventType} from '../generated/v1alpha_pb.js'
import type {PodFacts} from '../pods/pod-facts.ts'
import type {Happening} from './journal.ts'

export function podEvents(before: PodFacts | undefined, after: PodFacts | undefined): Happening[] {
  const id = (after ?? before)?.place.uuid
  if (id === undefined) return []
  const happened = (type: EventType, from: string = id, data?: Happening['data']): Happening => ({from, id, type, ...(data && {data})})
  if (after === undefined) return [...missed(before), happened(EventType.POD_GARBAGE_COLLECTED)]
  const events: Happening[] = []
  if (after.place.state === 'prepared' && before?.place.state !== 'prepared') events.push(happened(EventType.POD_PREPARED))
  if (isAborted(after) && !(before && isAborted(before))) events.push(happened(EventType.POD_PREPARE_ABORTED))
  if (hasStarted(after) && !(before && hasStarted(before))) events.push(happened(EventType.POD_STARTED))
  const appsBefore = new Map(before ? startedApps(before) : [])
  for (const [name, status] of startedApps(after)) {
    const exitedBefore = appsBefore.get(name)
    if (exitedBefore === undefined) events.push(happened(EventType.APP_STARTED, name))
    if (status !== null && (exitedBefore === undefined || exitedBefore === null)) {
      events.push(happened(EventType.APP_EXITED, name, status === '' ? undefined : {exit_code: status}))
    }
  }
  if (hasExited(after) && !(before && hasExited(before))) events.push(happened(EventType.POD_EXITED))
  return events
}

/** A pod that was removed before anybody saw that it had exited. */
function missed(before: PodFacts | undefined): Happening[] {
  if (before === undefined || !hasStarted(before) || hasExited(before)) return []
  const {uuid: id} = before.place
  const apps = [...startedApps(before)].filter(([, status]) => status === null)
  return [...apps.map(([from]) => ({from, id, type: EventType.APP_EXITED})), {from: id, id, type: EventType.POD_EXITED}]
}

const isAborted = ({place: {directory, state}, message}: PodFacts) =>
  state === 'aborted prepare' || (directory === 'garbage' && message.startedAt === 0n)

/** It was a pod once: its process has said which it is. */
const hasStarted = ({message}: PodFacts) => message.startedAt > 0n

const hasExited = ({message, place}: PodFacts) => message.startedAt > 0n && isAfterRun(place.state)

/** Apps that have run, each with null while it runs, else its status as text, empty where nobody knows it. */
function startedApps(facts: PodFacts): [name: string, status: string | null][] {
  if (!hasStarted(facts)) return []
  const {isMutable, message, statuses, startedNames} = facts
  return message.apps
    .filter(({name}) => !isMutable || startedNames.has(name) || statuses.has(name))
    .map(({name}) => {
      const status = statuses.get(name)
      if (status !== undefined) return [name, String(status)]
      return [name, isAfterRun(facts.place.state) ? '' : null]
    })
}

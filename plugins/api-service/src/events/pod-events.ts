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
  const earlier = new Map(before ? runsOf(before) : [])
  for (const [name, run] of runsOf(after)) {
    const last = earlier.get(name)
    const isNew = last === undefined || last.start !== run.start
    // One whose end nobody saw, for it was started again at once.
    if (isNew && last?.status === null) events.push(happened(EventType.APP_EXITED, name))
    if (isNew) events.push(happened(EventType.APP_STARTED, name))
    if (run.status !== null && (isNew || last.status === null)) {
      events.push(happened(EventType.APP_EXITED, name, run.status === '' ? undefined : {exit_code: run.status}))
    }
    earlier.delete(name)
  }
  // What is left was removed from its pod.
  for (const [name, {status}] of earlier) if (status === null) events.push(happened(EventType.APP_EXITED, name))
  if (hasExited(after) && !(before && hasExited(before))) events.push(happened(EventType.POD_EXITED))
  return events
}

/** A pod that was removed before anybody saw that it had exited. */
function missed(before: PodFacts | undefined): Happening[] {
  if (before === undefined || !hasStarted(before) || hasExited(before)) return []
  const {uuid: id} = before.place
  const apps = runsOf(before).filter(([, {status}]) => status === null)
  return [...apps.map(([from]) => ({from, id, type: EventType.APP_EXITED})), {from: id, id, type: EventType.POD_EXITED}]
}

const isAborted = ({place: {directory, state}, message}: PodFacts) =>
  state === 'aborted prepare' || (directory === 'garbage' && message.startedAt === 0n)

/** It was a pod once: its process has said which it is. */
const hasStarted = ({message}: PodFacts) => message.startedAt > 0n

const hasExited = ({message, place}: PodFacts) => message.startedAt > 0n && isAfterRun(place.state)

/** One life of an app. */
interface Run {
  /** In a mutable pod, where an app has many. */
  readonly start: bigint | undefined
  /** Null while it runs, else its status as text, empty where nobody knows it. */
  readonly status: string | null
}

/** The last run of each app that has run. */
function runsOf(facts: PodFacts): [name: string, run: Run][] {
  if (!hasStarted(facts)) return []
  const {message, place, starts, statuses} = facts
  return message.apps
    .filter(({name}) => !starts || starts.has(name))
    .map(({name}) => {
      const status = statuses.get(name)
      const unknown = isAfterRun(place.state) ? '' : null
      return [name, {start: starts?.get(name), status: status === undefined ? unknown : String(status)}]
    })
}

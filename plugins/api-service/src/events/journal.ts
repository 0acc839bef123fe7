/** What happened lately, and who listens. */

import {create} from '@bufbuild/protobuf'
import {type Event, type EventFilter, EventSchema, type EventType, KeyValueSchema} from '../generated/v1alpha_pb.js'

/** How many events are remembered for who asks for the past. */
const memory = 4096

export interface Happening {
  readonly type: EventType
  readonly id: string
  readonly from: string
  readonly data?: Readonly<Record<string, string>>
}

export class Journal {
  readonly #events: Event[] = []
  readonly #listeners = new Set<(event: Event) => void>()

  add({data = {}, from, id, type}: Happening): void {
    const pairs = Object.entries(data).map(([Key, value]) => create(KeyValueSchema, {Key, value}))
    const event = create(EventSchema, {data: pairs, from, id, time: BigInt(Math.floor(Date.now() / 1000)), type})
    this.#events.push(event)
    if (this.#events.length > memory) this.#events.shift()
    for (const listener of this.#listeners) listener(event)
  }

  /** Events that are remembered from a time on, in seconds. */
  since(time: bigint): Event[] {
    return this.#events.filter((event) => event.time >= time)
  }

  /** Calls `heard` with every event from now on, until the answered function is called. */
  listen(heard: (event: Event) => void): () => void {
    this.#listeners.add(heard)
    return () => this.#listeners.delete(heard)
  }
}

/** Whether a client wants an event, by all but the times of its filter. */
export function eventFilter(filter: EventFilter | undefined): (event: Event) => boolean {
  const [types, ids, names] = [new Set(filter?.types), new Set(filter?.ids), new Set(filter?.names)]
  return ({from, id, type}) =>
    (types.size === 0 || types.has(type)) && (ids.size === 0 || ids.has(id)) && (names.size === 0 || names.has(from))
}

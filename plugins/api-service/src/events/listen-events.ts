import {create} from '@bufbuild/protobuf'
import type {ServerWritableStream} from '@grpc/grpc-js'
import {checkFilters} from '../filters.ts'
import {type Event, type ListenEventsRequest, type ListenEventsResponse, ListenEventsResponseSchema} from '../generated/v1alpha_pb.js'
import {StatusError} from '../server/status.ts'
import {eventFilter, type Journal} from './journal.ts'

/** What waits for a client that reads too slowly, before it is given up. */
const maxQueue = 4096
/** Events of one response: many small ones, so that a client that does not read is noticed. */
const maxBatch = 64
/** Longer than this no timer waits. */
const maxTimerMs = 2 ** 31 - 1

type Call = ServerWritableStream<ListenEventsRequest, ListenEventsResponse>

/** Sends events until the client has enough or the time that it gave has come. What happens together is sent together. */
export async function listenEvents(journal: Journal, call: Call): Promise<void> {
  const {filter} = call.request
  checkFilters(filter ? [filter] : [])
  const wanted = eventFilter(filter)
  const until = filter?.untilTime ?? 0n
  const queue: Event[] = filter && filter.sinceTime > 0n ? journal.since(filter.sinceTime).filter(wanted) : []
  const inTime = ({time}: Event) => until <= 0n || time < until
  return await new Promise<void>((resolve, reject) => {
    let isBlocked = false
    let isScheduled = false
    const send = () => {
      isScheduled = false
      while (!isBlocked && queue.length > 0) {
        isBlocked = !call.write(create(ListenEventsResponseSchema, {events: queue.splice(0, maxBatch)}))
      }
    }
    const schedule = () => {
      if (isScheduled) return
      isScheduled = true
      setImmediate(send)
    }
    const stop = journal.listen((event) => {
      if (!wanted(event) || !inTime(event)) return
      queue.push(event)
      if (queue.length > maxQueue) finish(() => reject(new StatusError('resourceExhausted', 'the client reads events too slowly')))
      else schedule()
    })
    const timer = until > 0n ? setTimeout(() => finish(resolve), Math.min(Number(until) * 1000 - Date.now(), maxTimerMs)) : undefined
    const finish = (end: () => void) => {
      stop()
      clearTimeout(timer)
      send()
      end()
    }
    call.on('drain', () => {
      isBlocked = false
      send()
    })
    call.on('cancelled', () => finish(resolve))
    call.on('error', () => finish(resolve))
    schedule()
  })
}

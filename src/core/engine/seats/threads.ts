/** The threads that small models of one server share: one, until it is full or held up. */

import type { Clock } from '../../host/clock.ts'
import type { Channel } from '../channel.ts'
import { type SeatEvents, type SharedThread, startSharedThread } from './thread.ts'

export interface SharedThreads {
  /** True once requests may come: from here on a load of unknown length must not hold them up. */
  readonly serving: boolean
  serve(): void
  /** Starts a thread for the first seats. @returns ends it if it was not needed */
  prestart(): () => void
  seat(events: SeatEvents): Channel
  /** Sessions of one thread, on average, with one more where there are none. */
  readonly seatsEach: number
}

export function createSharedThreads(clock: Clock): SharedThreads {
  const threads = new Set<SharedThread>()
  let serving = false

  function start(): SharedThread {
    const thread = startSharedThread(clock, () => threads.delete(thread))
    threads.add(thread)
    return thread
  }

  return {
    get serving() {
      return serving
    },
    serve() {
      serving = true
    },
    prestart() {
      try {
        const thread = start()
        return thread.endUnused
      } catch {
        // The load itself will meet and report the same failure.
        return () => {}
      }
    },
    seat: (events) => ([...threads].find(({ open }) => open) ?? start()).seat(events),
    get seatsEach() {
      const seats = [...threads].reduce((sum, thread) => sum + thread.seats, 0)
      return Math.max(1, seats / Math.max(1, threads.size))
    },
  }
}

/** Requests that were accepted and are not answered: each leaves with its answer, by its deadline, or when its caller gives up. */

import type { Pool } from '../engine/pool.ts'
import { ModelmountError } from '../errors.ts'
import { onAbort } from '../host/abort.ts'
import type { Clock } from '../host/clock.ts'
import { aborted } from './admission.ts'
import { createDeadlines } from './deadlines.ts'
import type { Dispatch, Entry, Finished } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import { createLiveSet } from './live-set.ts'

/** A run counts as hung at its deadline, but not before it took this many times as long as expected. */
const HUNG_FACTOR = 4

export interface Accepted {
  /** True once no more requests will come. */
  readonly draining: boolean
  /** Queues it. */
  add(entry: Entry): void
  /** Answers it, unless it has its answer. */
  settle(entry: Entry, outcome: Finished | ModelmountError): void
  /** Refuses one that could not be answered in time. */
  dropLate(entry: Entry): void
  /** Refuses those that wait in the queue. */
  refuseWaiting(error: ModelmountError): void
  /** Rejects everything that is still waiting or running. */
  abandon(error: ModelmountError): void
  /** Resolves when all are answered. @param hurry called if some are not */
  drain(hurry: () => void): Promise<void>
}

/** Bounds of waiting, beside the deadline of each request. */
export interface WaitLimits {
  /** Longest time that a request waits for an instance. @default no bound but its deadline */
  readonly maxWaitMs?: number | undefined
}

interface Deps {
  readonly pool: Pool
  readonly clock: Clock
  readonly queue: FairQueue<Entry>
  readonly limits: WaitLimits
}

export function createAccepted({ pool, clock, queue, limits: { maxWaitMs } }: Deps): Accepted {
  const live = createLiveSet<Entry>()
  const deadlines = createDeadlines(
    clock,
    () => live,
    ({ deadline }) => deadline,
    expire,
  )
  const waits = createDeadlines(clock, () => live, leavesAt, tooLong)
  let drained: (() => void) | undefined

  function add(entry: Entry): void {
    const { signal } = entry
    if (signal) entry.stopListening = onAbort(signal, () => settle(entry, aborted(signal)))
    live.add(entry)
    queue.push(entry)
    deadlines.watch(entry.deadline)
    if (maxWaitMs !== undefined) waits.watch(leavesAt(entry))
  }

  function settle(entry: Entry, outcome: Finished | ModelmountError): void {
    if (entry.phase === 'settled') return
    queue.leave(entry)
    entry.phase = 'settled'
    entry.stopListening()
    live.drop(entry)
    if (outcome instanceof ModelmountError) entry.reject(outcome)
    else entry.resolve(outcome)
    if (live.size > 0) return
    deadlines.rest()
    waits.rest()
    drained?.()
  }

  function expire(entry: Entry, now: number): void {
    const { phase } = entry
    const isWaiting = typeof phase === 'string'
    const message = isWaiting
      ? 'the deadline passed while waiting for a free instance'
      : 'the run did not end before the deadline'
    settle(entry, new ModelmountError('DEADLINE_EXCEEDED', message))
    if (!isWaiting && pool.killable) killIfHung(phase, now)
  }

  /** When a waiting request has waited too long. */
  function leavesAt({ phase, enqueuedAt }: Entry): number {
    return phase === 'queued' && maxWaitMs !== undefined ? enqueuedAt + maxWaitMs : Number.POSITIVE_INFINITY
  }

  function tooLong(entry: Entry): void {
    settle(
      entry,
      new ModelmountError('OVERLOADED', `no instance was free within maxWaitMs (${maxWaitMs} ms)`, { retryAfterS: 1 }),
    )
  }

  /** A short deadline must not cost a healthy child its life: it is killed only if the run takes far longer than expected. */
  function killIfHung(dispatch: Dispatch, now: number): void {
    const { instance, sentAt, answered } = dispatch
    if (!instance.ready || answered) return
    const hungAt = sentAt + HUNG_FACTOR * pool.balancer.postedMs(instance)
    if (hungAt > now) clock.after(hungAt - now, () => killIfHung(dispatch, clock.now()))
    else instance.kill('a run hung past its deadline')
  }

  function dropLate(entry: Entry): void {
    settle(entry, new ModelmountError('DEADLINE_EXCEEDED', 'the request could not be answered before its deadline any more'))
  }

  return {
    get draining() {
      return drained !== undefined
    },
    add,
    settle,
    dropLate,
    refuseWaiting(error) {
      for (const entry of live) if (entry.phase === 'queued') settle(entry, error)
    },
    abandon(error) {
      for (const entry of live) settle(entry, error)
    },
    async drain(hurry) {
      if (live.size > 0)
        await new Promise<void>((resolve) => {
          drained = resolve
          hurry()
        })
      deadlines.end()
      waits.end()
    },
  }
}

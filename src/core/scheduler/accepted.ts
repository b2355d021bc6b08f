/** Requests that were accepted and are not answered: each leaves with its answer, by its deadline, or when its caller gives up. */

import type { Pool } from '../engine/pool.ts'
import { ModelmountError } from '../errors.ts'
import { onAbort } from '../host/abort.ts'
import type { Clock } from '../host/clock.ts'
import { aborted } from './admission.ts'
import { createDeadlines } from './deadlines.ts'
import type { Dispatch, Entry, Finished, Held } from './entry.ts'
import type { FairQueue } from './fair-queue.ts'
import { createLiveSet } from './live-set.ts'

/** A run counts as hung at its deadline, but not before it took this many times as long as expected. */
const HUNG_FACTOR = 4

export interface Accepted {
  /** True once no more requests will come. */
  readonly draining: boolean
  /** Watches over one that waits somewhere else than in the queue. */
  hold(request: Held): void
  /** The same for one that goes on as another one. */
  release(request: Held): void
  /** Queues it. */
  add(entry: Entry): void
  /** Answers it, unless it has its answer. */
  settle(request: Held, outcome: Finished | ModelmountError): void
  /** Refuses one that could not be answered in time. */
  dropLate(request: Held): void
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
  const live = createLiveSet<Held>()
  const deadlines = createDeadlines(
    clock,
    () => live,
    ({ deadline }) => deadline,
    expire,
  )
  const waits = createDeadlines(clock, () => live, leavesAt, tooLong)
  let drained: (() => void) | undefined

  function hold(request: Held): void {
    const { signal } = request
    if (signal) request.stopListening = onAbort(signal, () => settle(request, aborted(signal)))
    live.add(request)
    deadlines.watch(request.deadline)
    if (maxWaitMs !== undefined) waits.watch(leavesAt(request))
  }

  function settle(request: Held, outcome: Finished | ModelmountError): void {
    if (request.phase === 'settled') return
    request.line.leave(request)
    request.phase = 'settled'
    request.stopListening()
    live.drop(request)
    if (outcome instanceof ModelmountError) request.reject(outcome)
    else request.resolve(outcome)
    if (live.size > 0) return
    deadlines.rest()
    waits.rest()
    drained?.()
  }

  function expire(request: Held, now: number): void {
    const { phase } = request
    const isWaiting = typeof phase === 'string'
    const message = isWaiting
      ? 'the deadline passed while waiting for a free instance'
      : 'the run did not end before the deadline'
    settle(request, new ModelmountError('DEADLINE_EXCEEDED', message))
    if (!isWaiting && pool.killable) killIfHung(phase, now)
  }

  /** When a waiting request has waited too long. */
  function leavesAt({ phase, enqueuedAt }: Held): number {
    return phase === 'queued' && maxWaitMs !== undefined ? enqueuedAt + maxWaitMs : Number.POSITIVE_INFINITY
  }

  function tooLong(request: Held): void {
    settle(
      request,
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

  function dropLate(request: Held): void {
    settle(request, new ModelmountError('DEADLINE_EXCEEDED', 'the request could not be answered before its deadline any more'))
  }

  return {
    get draining() {
      return drained !== undefined
    },
    hold,
    release(request) {
      request.stopListening()
      live.drop(request)
    },
    add(entry) {
      entry.line = queue
      hold(entry)
      queue.push(entry)
    },
    settle,
    dropLate,
    refuseWaiting(error) {
      for (const request of live) if (request.phase === 'queued') settle(request, error)
    },
    abandon(error) {
      for (const request of live) settle(request, error)
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

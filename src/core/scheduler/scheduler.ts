/**
 * Runs of one model version. A free instance never waits while work is queued; expired and abandoned work leaves before it is packed.
 * Requests that fit together share a run if the model was proved to gain from it. Runs of microseconds share a message (a burst).
 */

import type { Instance } from '../engine/instance.ts'
import { ModelmountError } from '../errors.ts'
import { createAccepted } from './accepted.ts'
import { refuse, unavailable } from './admission.ts'
import { createAnswers } from './answers.ts'
import { type Batching, unbatched } from './batching.ts'
import { createBursts } from './bursts.ts'
import type { SchedulerDeps } from './deps.ts'
import { type Batch, createEntry, type Dispatch, type Entry, type Finished, type Ticket } from './entry.ts'
import { createFairQueue } from './fair-queue.ts'
import { createLane, type Lane } from './lean/lane.ts'
import { inPieces } from './pieces.ts'
import type { Place } from './place.ts'
import { createPlacement } from './placement.ts'
import { reportBurst, verdictOf } from './report.ts'
import type { Sharing } from './sharing.ts'
import { createSuspects, originOf } from './suspects.ts'
import { createTally } from './tally.ts'
import type { QueueInfo } from './types.ts'

/** Most pieces of one large request that wait or run at a time. */
const PIECES_PER_INSTANCE = 2

export interface Scheduler {
  /**
   * Queues a run.
   * @throws ModelmountError `QUEUE_FULL`, `QUOTA_EXCEEDED`, `OVERLOADED`, `MODEL_UNAVAILABLE`, `DEADLINE_EXCEEDED`, `ABORTED`, `WORKER_LOST`,
   *   `INPUT_REJECTED`, `INFERENCE_FAILED`
   */
  submit(ticket: Ticket): Promise<Finished>
  /** The shorter way of requests that can share any run. */
  readonly lane: Lane
  /** An instance came or went: look at the queue again. */
  wake(): void
  /** Findings about the model; before they arrive, requests run one by one. */
  setBatching(batching: Batching): void
  readonly batching: Batching
  readonly stats: QueueInfo
  /** How long the next request has waited; 0 if none waits. */
  readonly oldestWaitMs: number
  /** Resolves when all accepted requests are answered. */
  drain(): Promise<void>
  /** Rejects everything that is still waiting or running. */
  abandon(error: ModelmountError): void
}

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { pool, inline, clock, onRun, recheck, onRefuted, defer = setImmediate } = deps
  const queue = createFairQueue<Entry>()
  const sharing: Sharing = { batching: unbatched('not tried yet', undefined, 'proving') }
  const suspects = createSuspects(clock)
  const accepted = createAccepted({ pool, clock, queue, limits: deps })
  const { settle } = accepted
  // The queue knows how to wait for others while an instance is free.
  const isOff = deps.maxDelayMs > 0
  const lane = createLane({ pool, clock, queue, sharing, suspects, accepted, limits: deps, isOff, onCommit: scheduleFlush })
  const bursts = createBursts({ ...deps, queue, lane, sharing, accepted, lookAgain: scheduleFlush })
  const nextPlace = createPlacement({ pool, queue, lane, sharing, bursts, inline })
  const answers = createAnswers({ pool, clock, queue, sharing, suspects, settle, recheck, onRefuted, onChecked: flushIfAny })
  const tally = createTally()
  let flushScheduled = false

  // ---------------------------------------------------------------- entering

  function submit(ticket: Ticket): Promise<Finished> {
    if (lane.rows > 0) lane.spill()
    const { batching } = sharing
    const place = batching.place(ticket.run, ticket.shareable)
    if (place.rows === 1 || !batching.shared(place.bucket) || place.rows <= batching.capOf(place.bucket))
      return submitWhole(ticket, place, true)
    // More rows than a run should have: several runs, joined again. If the first piece is admitted, so are the others.
    const width = PIECES_PER_INSTANCE * Math.max(1, pool.instances.length)
    return inPieces(ticket, place, batching, width, (piece, index) =>
      submitWhole({ ...piece, enqueuedAt: clock.now() }, sharing.batching.place(piece.run, piece.shareable), index === 0),
    )
  }

  function submitWhole(ticket: Ticket, place: Place, bounded: boolean): Promise<Finished> {
    const entry = createEntry(ticket, place, suspects.has(originOf(ticket)))
    const refusal = admit(entry)
    if (refusal && (bounded || !isAboutRoom(refusal))) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      entry.resolve = resolve
      entry.reject = reject
      accepted.add(entry)
      scheduleFlush()
    })
  }

  function admit(entry: Entry): ModelmountError | undefined {
    const { batching } = sharing
    const refusal = refuse(entry, deps, { now: entry.enqueuedAt, queue, batching, pool })
    if (refusal?.code !== 'QUEUE_FULL') return refusal
    // A less important request makes room.
    const victim = queue.newestBelow(entry)
    if (!victim) return refusal
    settle(
      victim,
      new ModelmountError('QUEUE_FULL', 'a request of higher priority took the place', { retryAfterS: refusal.retryAfterS }),
    )
    return refuse(entry, deps, { now: entry.enqueuedAt, queue, batching, pool })
  }

  // ---------------------------------------------------------------- sending

  function scheduleFlush(): void {
    if (flushScheduled) return
    flushScheduled = true
    // At the end of this turn, so that requests which arrive together run together.
    defer(() => {
      flushScheduled = false
      flush()
    })
  }

  function flushIfAny(): void {
    if (queue.count > 0 || lane.rows > 0) scheduleFlush()
  }

  function flush(): void {
    lane.check()
    const gone = unavailable(pool)
    if (gone) {
      accepted.refuseWaiting(gone)
      return
    }
    while (queue.count > 0 || lane.rows > 0) {
      const instance = nextPlace()
      const burst = instance && bursts.form(instance)
      if (!burst) break
      send(instance, burst)
    }
    pool.queueChanged()
  }

  function send(instance: Instance, burst: readonly Batch[]): void {
    const sentAt = clock.now()
    const isFirst = instance.bursts === 0
    const dispatch: Dispatch = { instance, sentAt, answered: false }
    let ms = 0
    for (const batch of burst) {
      ms += bursts.msOf(batch)
      tally.sent(batch)
      for (const request of batch.requests) if (request.phase !== 'settled') request.phase = dispatch
    }
    // The host is none of those that the balancer chooses from.
    const isPooled = instance.tier !== 'inline'
    if (isPooled) pool.balancer.posted(instance, ms)
    const runs = burst.map((batch) => batch.run())
    instance.run(runs, (outcomes, beganAt) => {
      const endedAt = clock.now()
      dispatch.answered = true
      if (isPooled) {
        const { tookMs, verdict } = verdictOf(outcomes)
        pool.balancer.answered(instance, { expectedMs: ms, tookMs, verdict }, sentAt)
        if (beganAt !== undefined) bursts.ran(instance, beganAt, tookMs, isFirst)
      }
      for (const [index, batch] of burst.entries()) {
        tally.ended(batch)
        const outcome = typeof outcomes === 'string' ? undefined : outcomes[index]
        if (outcome) answers.finish(batch, dispatch, outcome, endedAt)
      }
      if (typeof outcomes === 'string') answers.lose(entriesOf(burst), outcomes)
      for (const batch of burst) batch.ended()
      if (onRun) reportBurst(onRun, burst, { instance, outcomes, sentAt, beganAt, endedAt: clock.now() })
      flushIfAny()
    })
  }

  return {
    submit,
    lane,
    wake: scheduleFlush,
    setBatching(next) {
      sharing.batching = next
    },
    get batching() {
      return sharing.batching
    },
    get stats() {
      return { waiting: queue.count + lane.count, ...tally.totals }
    },
    // No more requests will come, so a batch must not wait for others.
    async drain() {
      lane.spill()
      await accepted.drain(scheduleFlush)
      lane.close()
    },
    abandon: accepted.abandon,
    get oldestWaitMs() {
      const since = queue.peek()?.enqueuedAt ?? lane.oldestAt
      return since === undefined ? 0 : clock.now() - since
    },
  }
}

const entriesOf = (burst: readonly Batch[]): Entry[] => burst.flatMap((batch) => batch.entries())

const isAboutRoom = ({ code }: ModelmountError): boolean => code === 'QUEUE_FULL' || code === 'QUOTA_EXCEEDED'

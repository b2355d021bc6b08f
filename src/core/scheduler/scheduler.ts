/**
 * Runs of one model version. A free instance never waits while work is queued; expired and abandoned work leaves before it is packed.
 * Requests that fit together share a run if the model was proved to gain from it. Runs of microseconds share a message (a burst).
 */

import type { Next } from '../engine/balance.ts'
import type { Memory } from '../engine/buffers.ts'
import type { Instance } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Run, RunOutcome } from '../engine/run.ts'
import { ModelmountError } from '../errors.ts'
import { onAbort } from '../host/abort.ts'
import type { Clock } from '../host/clock.ts'
import { discard } from '../tensor/index.ts'
import { aborted, type Limits, refuse, unavailable } from './admission.ts'
import { createAgain } from './again.ts'
import { type Batching, type Place, unbatched } from './batching.ts'
import { checkOne } from './check-run.ts'
import { createDeadlines } from './deadlines.ts'
import { type Batch, createEntry, type Entry, type Finished, type ReleaseReason, type Ticket } from './entry.ts'
import { createFairQueue } from './fair-queue.ts'
import { formBatch } from './former.ts'
import { inPieces } from './pieces.ts'
import type { Recheck } from './recheck.ts'
import { type BatchReport, reportBurst, verdictOf } from './report.ts'
import { createRoster } from './roster.ts'
import { createSuspects, originOf } from './suspects.ts'
import type { QueueInfo } from './types.ts'

/** Runs that share a message are answered together, so all of them together must be short. */
const BURST_MS = 1
/**
 * Most work of an instance when another message is posted behind it, that one included. Without it the worker would idle for a hop after
 * each run. Posted work can no longer be dropped, be overtaken, or grow, so beyond `BURST_MS` it must have nothing to grow for.
 */
const AHEAD_MS = 10
const MAX_RUNS = 64
/** Most pieces of one large request that wait or run at a time. */
const PIECES_PER_INSTANCE = 2
/** A run counts as hung at its deadline, but not before it took this many times as long as expected. */
const HUNG_FACTOR = 4

export interface Scheduler {
  /**
   * Queues a run.
   * @throws ModelmountError `QUEUE_FULL`, `QUOTA_EXCEEDED`, `OVERLOADED`, `MODEL_UNAVAILABLE`, `DEADLINE_EXCEEDED`, `ABORTED`, `WORKER_LOST`,
   *   `INPUT_REJECTED`, `INFERENCE_FAILED`
   */
  submit(ticket: Ticket): Promise<Finished>
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

interface Deps extends Limits {
  readonly pool: Pool
  readonly clock: Clock
  /** Longest time that a request waits for others to share its run, in milliseconds. */
  readonly maxDelayMs: number
  readonly mixTenants: boolean
  /** Memory for the inputs of shared runs. @default fresh */
  readonly memory?: Memory | undefined
  /** Receives every answered run, before its requests do. */
  readonly onRun?: (run: BatchReport) => void
  /** Longest time that a request waits for an instance. @default no bound but its deadline */
  readonly maxWaitMs?: number
  /** Repeats rows of shared runs alone. @default none */
  readonly recheck?: Recheck | undefined
  /** Called when that has ended the sharing of runs. */
  readonly onRefuted?: (reason: string) => void
  /** Calls back at the end of this turn. @default setImmediate */
  readonly defer?: (callback: () => void) => void
}

export function createScheduler(deps: Deps): Scheduler {
  const { pool, clock, maxDelayMs, mixTenants, memory, maxWaitMs, onRun, recheck, onRefuted, defer = setImmediate } = deps
  const queue = createFairQueue<Entry>()
  let batching = unbatched('not tried yet')
  const again = createAgain(queue)
  const suspects = createSuspects(clock)
  const live = createRoster<Entry>()
  const deadlines = createDeadlines(
    clock,
    () => live,
    ({ deadline }) => deadline,
    expire,
  )
  const waits = createDeadlines(clock, () => live, leavesAt, tooLong)
  const released: Record<ReleaseReason, number> = { full: 0, idle: 0, window: 0, deadline: 0, drain: 0 }
  /** Requests that a worker has and has not answered, settled ones included. */
  let running = 0
  let batches = 0
  let batchedRows = 0
  let padding = 0
  let flushScheduled = false
  let drained: (() => void) | undefined

  // ---------------------------------------------------------------- entering

  function submit(ticket: Ticket): Promise<Finished> {
    const place = batching.place(ticket.run, ticket.shareable)
    if (place.rows === 1 || !batching.shared(place.lane) || place.rows <= batching.capOf(place.lane))
      return submitWhole(ticket, place, true)
    // More rows than a run should have: several runs, joined again. If the first piece is admitted, so are the others.
    const width = PIECES_PER_INSTANCE * Math.max(1, pool.instances.length)
    return inPieces(ticket, place, batching, width, (piece, index) =>
      submitWhole({ ...piece, enqueuedAt: clock.now() }, batching.place(piece.run, piece.shareable), index === 0),
    )
  }

  function submitWhole(ticket: Ticket, place: Place, bounded: boolean): Promise<Finished> {
    const entry = createEntry(ticket, place, suspects.has(originOf(ticket)))
    const refusal = admit(entry)
    if (refusal && (bounded || !isAboutRoom(refusal))) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      entry.resolve = resolve
      entry.reject = reject
      const { signal } = entry
      if (signal) entry.stopListening = onAbort(signal, () => settle(entry, aborted(signal)))
      live.add(entry)
      queue.push(entry)
      deadlines.watch(entry.deadline)
      if (maxWaitMs !== undefined) waits.watch(leavesAt(entry))
      scheduleFlush()
    })
  }

  function admit(entry: Entry): ModelmountError | undefined {
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

  // ---------------------------------------------------------------- leaving

  function settle(entry: Entry, outcome: Finished | ModelmountError): void {
    if (entry.state === 'settled') return
    queue.leave(entry)
    entry.state = 'settled'
    entry.stopListening?.()
    live.drop(entry)
    if (outcome instanceof ModelmountError) entry.reject(outcome)
    else entry.resolve(outcome)
    if (live.size > 0) return
    deadlines.rest()
    waits.rest()
    drained?.()
  }

  function expire(entry: Entry, now: number): void {
    const wasRunning = entry.state === 'running'
    const message = wasRunning
      ? 'the run did not end before the deadline'
      : 'the deadline passed while waiting for a free instance'
    settle(entry, new ModelmountError('DEADLINE_EXCEEDED', message))
    if (wasRunning && pool.killable) killIfHung(entry, now)
  }

  /** When a waiting request has waited too long. */
  function leavesAt({ state, enqueuedAt }: Entry): number {
    return state === 'queued' && maxWaitMs !== undefined ? enqueuedAt + maxWaitMs : Number.POSITIVE_INFINITY
  }

  function tooLong(entry: Entry): void {
    settle(
      entry,
      new ModelmountError('OVERLOADED', `no instance was free within maxWaitMs (${maxWaitMs} ms)`, { retryAfterS: 1 }),
    )
  }

  /** A short deadline must not cost a healthy child its life: it is killed only if the run takes far longer than expected. */
  function killIfHung(entry: Entry, now: number): void {
    const { instance } = entry
    if (!instance?.ready || !entry.atWorker) return
    const hungAt = entry.startedAt + HUNG_FACTOR * pool.balancer.postedMs(instance)
    if (hungAt > now) clock.after(hungAt - now, () => killIfHung(entry, clock.now()))
    else instance.kill('a run hung past its deadline')
  }

  function dropLate(entry: Entry): void {
    settle(entry, new ModelmountError('DEADLINE_EXCEEDED', 'the request could not be answered before its deadline any more'))
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

  function flush(): void {
    const gone = unavailable(pool)
    if (gone) {
      for (const entry of live) if (entry.state === 'queued') settle(entry, gone)
      return
    }
    while (queue.count > 0) {
      const instance = pool.balancer.pick(pool.instances, next())
      const burst = instance && formBurst(instance)
      if (!burst) break
      send(instance, burst)
    }
    pool.queueChanged()
  }

  /** The waiting work, from the balancer's point of view. */
  function next(): Next {
    const { cap, curve } = batching
    return { ms: curve.estimate(Math.min(cap, queue.rows)) ?? 0, runs: Math.ceil(queue.rows / cap) }
  }

  /** Work for an instance now: any amount if it is idle, only little ahead of time. */
  function formBurst(instance: Instance): Batch[] | undefined {
    const burst: Batch[] = []
    const idle = instance.bursts === 0
    let burstMs = 0
    // Half of the waiting work, so that the worker runs the other half while the host reads these answers.
    const most = Math.min(MAX_RUNS, Math.ceil(next().runs / 2))
    while (burst.length < most) {
      if (burst.length > 0 ? !mayFollow(burstMs, BURST_MS) : !idle && !mayFollow(pool.balancer.remainingMs(instance), AHEAD_MS))
        break
      const now = clock.now()
      const formed = formBatch(queue, batching, { now, maxDelayMs, mixTenants, draining: drained !== undefined }, dropLate)
      if (formed && 'waitUntil' in formed) clock.after(formed.waitUntil - now, scheduleFlush)
      if (!formed || 'waitUntil' in formed) break
      const { batch } = formed
      burst.push(batch)
      for (const entry of batch.entries) entry.state = 'packed'
      if (isLone(batch.entries[0])) break
      burstMs += msOf(batch)
    }
    return burst.length > 0 ? burst : undefined
  }

  /** The next run may be posted behind others if all of them together are short enough, and none has to be alone. */
  function mayFollow(othersMs: number, limitMs: number): boolean {
    const head = queue.peek()
    if (!head || isLone(head)) return false
    // Callers answered now may ask again in the same turn, and would find the worker taken.
    if (head.apart && !queue.owesApart) return false
    const cap = batching.capOf(head.lane)
    const rows = batching.shared(head.lane) ? Math.min(cap, queue.rowsBeside(head)) : head.rows
    const ms = batching.curveOf(head.lane).estimate(rows)
    const isComplete = !batching.shared(head.lane) || rows >= cap
    return ms !== undefined && othersMs + ms <= (isComplete ? limitMs : BURST_MS)
  }

  /** Must be the only run of its message, because it may cost the worker. */
  const isLone = (head: Entry | undefined): boolean => head?.alone === true || (head?.apart === true && pool.killable)

  const msOf = (batch: Batch): number => batching.curveOf(batch.entries[0]?.lane ?? '').estimate(batch.rows) ?? 0

  function send(instance: Instance, burst: readonly Batch[]): void {
    const now = clock.now()
    let ms = 0
    for (const batch of burst) {
      ms += msOf(batch)
      batches++
      batchedRows += batch.rows
      padding += batch.padding
      released[batch.reason]++
      for (const entry of batch.entries) {
        entry.state = 'running'
        entry.startedAt = now
        entry.instance = instance
        entry.atWorker = true
        running++
      }
    }
    pool.balancer.posted(instance, ms)
    instance.run(burst.map(joinBatch), (outcomes, beganAt) => {
      const endedAt = clock.now()
      pool.balancer.answered(instance, { expectedMs: ms, ...verdictOf(outcomes) }, now)
      for (const [index, batch] of burst.entries()) {
        for (const entry of batch.entries) entry.atWorker = false
        running -= batch.entries.length
        const outcome = typeof outcomes === 'string' ? undefined : outcomes[index]
        if (outcome) finish(batch, outcome, endedAt)
      }
      if (typeof outcomes === 'string')
        lose(
          burst.flatMap((batch) => batch.entries),
          outcomes,
        )
      if (onRun) reportBurst(onRun, burst, { instance, outcomes, sentAt: now, beganAt, endedAt: clock.now() })
      if (queue.count > 0) scheduleFlush()
    })
  }

  function joinBatch({ entries }: Batch): Run {
    const [first] = entries as readonly [Entry]
    if (entries.length === 1) return first.run
    return {
      inputs: batching.join(
        entries.map((entry) => entry.run.inputs),
        memory,
      ),
      fetches: first.run.fetches,
    }
  }

  // ---------------------------------------------------------------- answers

  function finish({ entries, rows }: Batch, outcome: RunOutcome, endedAt: number): void {
    const [first] = entries as readonly [Entry]
    const { inferMs } = outcome
    if ('error' in outcome) {
      if (entries.length > 1) again.inHalves(entries)
      else refuted(first, outcome.error)
      return
    }
    pool.succeeded()
    recheck?.ran(inferMs)
    batching.observe(first.lane, rows, inferMs, endedAt)
    const pieces = entries.length === 1 ? [outcome.outputs] : batching.split(outcome.outputs, entries.map(rowsOfEntry), entries)
    if (!pieces) {
      // Sharing may be off by now, for another reason: results of shared runs meanwhile are not trusted either.
      if (batching.info.enabled) batching = unbatched('an output did not have as many rows as the inputs', batching.curve)
      again.alone(entries)
      return
    }
    // Each has a copy of its own rows.
    if (entries.length > 1) discard(outcome.outputs)
    if (recheck && entries.length > 1)
      checkOne(entries, pieces, batching.curveOf(first.lane).estimate(1) ?? inferMs, { recheck, pool, clock, done: checked })
    for (const [index, entry] of entries.entries()) {
      const outputs = pieces[index] ?? Object.create(null)
      settle(entry, { outputs, queueMs: entry.startedAt - entry.enqueuedAt, inferMs, batchSize: rows, endedAt })
    }
  }

  /** It failed by itself, so the cause is not a neighbour. */
  function refuted(entry: Entry, error: ModelmountError): void {
    if (batching.shared(entry.lane)) suspects.add(originOf(entry))
    settle(entry, error)
  }

  function checked(reason: string | undefined): void {
    if (reason !== undefined && batching.info.enabled) {
      batching = unbatched(reason, batching.curve)
      onRefuted?.(reason)
    }
    if (queue.count > 0) scheduleFlush()
  }

  /**
   * The worker is gone. Runs that had not started go back into the queue. Of those that ran, a single request may be the cause; its caller
   * decides. Several get another chance, each alone at once: halves would cost a worker each time that the culprit is among them.
   */
  function lose(entries: readonly Entry[], how: 'lost' | 'unstarted'): void {
    // A thread received large tensors for good; there is nothing left to run again.
    if (pool.killable && (how === 'unstarted' || entries.length > 1)) {
      if (how === 'lost') again.alone(entries)
      else again.unchanged(entries)
      return
    }
    for (const entry of entries) {
      if (how === 'lost' && entries.length === 1) suspects.add(originOf(entry))
      settle(entry, new ModelmountError('WORKER_LOST', 'the worker was lost while running this request', { retryAfterS: 1 }))
    }
  }

  return {
    submit,
    wake: scheduleFlush,
    setBatching(next) {
      batching = next
    },
    get batching() {
      return batching
    },
    get stats() {
      return { waiting: queue.count, running, batches, rows: batchedRows, padding, released: { ...released } }
    },
    async drain() {
      if (live.size > 0)
        await new Promise<void>((resolve) => {
          drained = resolve
          // No more requests will come, so a batch must not wait for others.
          scheduleFlush()
        })
      deadlines.end()
      waits.end()
    },
    abandon(error) {
      for (const entry of live) settle(entry, error)
    },
    get oldestWaitMs() {
      const head = queue.peek()
      return head ? clock.now() - head.enqueuedAt : 0
    },
  }
}

const isAboutRoom = ({ code }: ModelmountError): boolean => code === 'QUEUE_FULL' || code === 'QUOTA_EXCEEDED'

const rowsOfEntry = (entry: Entry): number => entry.rows

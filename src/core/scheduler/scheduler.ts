/**
 * The queue of one model version. A free instance never waits while work is queued; expired and abandoned work leaves before it is packed.
 * Requests that fit together share a run where the model was proved to gain from it, and runs of microseconds share a message (a burst).
 */

import type { Clock, Timer } from '../clock.ts'
import type { Next } from '../engine/balance.ts'
import type { Instance, Run, RunOutcome } from '../engine/instance.ts'
import type { Pool } from '../engine/pool.ts'
import type { Answer } from '../engine/standing.ts'
import { ModelmountError } from '../errors.ts'
import { onAbort } from './abort.ts'
import { type Batching, unbatched } from './batching.ts'
import { createLanes, type Lane } from './lanes.ts'

/** Work that may be posted to an instance ahead of time. Small, because what is posted can no longer be dropped. */
const AHEAD_MS = 1
const MAX_RUNS = 64
/** A run is taken for hung at its deadline, but not before it took this many times as long as expected. */
const HUNG_FACTOR = 4

export interface Ticket {
  readonly run: Run
  /** On the scheduler's clock. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  /** False keeps the request out of shared runs. */
  readonly shareable: boolean
}

export interface Finished {
  readonly outputs: Extract<RunOutcome, { outputs: unknown }>['outputs']
  readonly queueMs: number
  readonly inferMs: number
  readonly batchSize: number
}

export interface Scheduler {
  /**
   * Queues a run.
   * @throws ModelmountError `QUEUE_FULL`, `MODEL_UNAVAILABLE`, `DEADLINE_EXCEEDED`, `ABORTED`, `WORKER_LOST`, `INPUT_REJECTED`, `INFERENCE_FAILED`
   */
  submit(ticket: Ticket): Promise<Finished>
  /** Looks at the queue again: an instance came or went. */
  wake(): void
  /** What was found out about the model; requests run one by one before it is told. */
  setBatching(batching: Batching): void
  readonly batching: Batching
  /** Resolves when everything that was accepted is answered. */
  drain(): Promise<void>
  /** Rejects everything that is still waiting or running. */
  abandon(error: ModelmountError): void
  readonly waiting: number
  readonly running: number
  /** Age of the request that waits longest; 0 when none does. */
  readonly oldestWaitMs: number
}

export interface Entry extends Ticket {
  readonly bytes: number
  readonly rows: number
  readonly lane: string
  readonly enqueuedAt: number
  startedAt: number
  state: 'queued' | 'running' | 'settled'
  instance: Instance | undefined
  /** Failed or lost together with others once: this time it runs alone, so that only the culprit pays. */
  alone: boolean
  resolve(finished: Finished): void
  reject(error: ModelmountError): void
  stopListening: (() => void) | undefined
}

/** Requests that run together. */
interface Batch {
  readonly entries: readonly Entry[]
  readonly rows: number
}

interface Deps {
  readonly pool: Pool
  readonly clock: Clock
  readonly maxQueue: number
  readonly maxQueueBytes: number
}

export function createScheduler({ pool, clock, maxQueue, maxQueueBytes }: Deps): Scheduler {
  const lanes = createLanes<Entry>((entry) => entry.state === 'queued')
  let batching = unbatched('not tried yet')
  let waiting = 0
  let waitingBytes = 0
  const live = new Set<Entry>()
  /** Entries that a worker has and has not answered, settled ones included. */
  const running = new Set<Entry>()
  let flushScheduled = false
  let sweep: { readonly at: number; readonly timer: Timer } | undefined
  let drained: (() => void) | undefined

  // ---------------------------------------------------------------- entering

  function submit(ticket: Ticket): Promise<Finished> {
    const now = clock.now()
    const bytes = bytesOf(ticket.run)
    const refusal = refuse(ticket, bytes, now)
    if (refusal) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      const { run, deadline, signal, shareable } = ticket
      const place = batching.place(run, shareable)
      const entry: Entry = {
        run,
        deadline,
        signal,
        shareable,
        bytes,
        rows: place.rows,
        lane: place.lane,
        enqueuedAt: now,
        startedAt: now,
        state: 'queued',
        instance: undefined,
        alone: false,
        resolve,
        reject,
        stopListening: undefined,
      }
      if (signal) {
        entry.stopListening = onAbort(signal, () => settle(entry, aborted(signal)))
      }
      live.add(entry)
      enqueue(entry)
      sweepAt(deadline)
      scheduleFlush()
    })
  }

  function enqueue(entry: Entry, atHead = false): void {
    lanes.add(entry.lane, entry, atHead)
    waiting++
    waitingBytes += entry.bytes
  }

  function refuse(ticket: Ticket, bytes: number, now: number): ModelmountError | undefined {
    if (ticket.signal?.aborted) return aborted(ticket.signal)
    if (ticket.deadline <= now)
      return new ModelmountError('DEADLINE_EXCEEDED', 'the deadline had passed before the request was queued')
    const unavailableForMs = pool.unavailableForMs
    if (unavailableForMs !== undefined) return unavailable(unavailableForMs)
    // A lone request larger than the byte bound is let in: the body limit and maxElements have judged its size.
    if (!full() && (waiting === 0 || waitingBytes + bytes <= maxQueueBytes)) return undefined
    return new ModelmountError('QUEUE_FULL', `${waiting} requests are waiting for this model already`, {
      retryAfterS: Math.max(1, Math.ceil(drainMs() / 1000)),
    })
  }

  /** What a free instance takes at the end of this turn does not count as waiting. */
  const full = (): boolean =>
    waiting >= maxQueue && waiting - pool.instances.filter((instance) => instance.bursts === 0).length >= maxQueue

  /** Expected time until what waits now is done. */
  function drainMs(): number {
    const batches = Math.ceil(waiting / batching.cap)
    return (batches * (batching.curve.estimate(batching.cap) ?? 0)) / Math.max(1, pool.instances.length)
  }

  // ---------------------------------------------------------------- leaving

  function settle(entry: Entry, outcome: Finished | ModelmountError): void {
    if (entry.state === 'settled') return
    if (entry.state === 'queued') leaveQueue(entry)
    entry.state = 'settled'
    entry.stopListening?.()
    live.delete(entry)
    if (outcome instanceof ModelmountError) entry.reject(outcome)
    else entry.resolve(outcome)
    if (live.size > 0) return
    sweep?.timer.hold(false)
    drained?.()
  }

  function leaveQueue(entry: Entry): void {
    waiting--
    waitingBytes -= entry.bytes
  }

  function sweepAt(deadline: number): void {
    if (!sweep || sweep.at > deadline) {
      sweep?.timer.cancel()
      sweep = { at: deadline, timer: clock.after(Math.ceil(deadline - clock.now()), onSweep) }
    }
    // A caller that waits, for a restart for example, must not see its process end.
    sweep.timer.hold(true)
  }

  /** One timer for all deadlines: it fires for the earliest, settles what is due and moves on to the next. */
  function onSweep(): void {
    sweep = undefined
    const now = clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const entry of live) {
      if (entry.deadline <= now) expire(entry, now)
      else next = Math.min(next, entry.deadline)
    }
    if (next < Number.POSITIVE_INFINITY) sweepAt(next)
  }

  function expire(entry: Entry, now: number): void {
    const wasRunning = entry.state === 'running'
    const message = wasRunning
      ? 'the run did not end before the deadline'
      : 'the deadline passed while waiting for a free instance'
    settle(entry, new ModelmountError('DEADLINE_EXCEEDED', message))
    if (wasRunning && pool.killable) killIfHung(entry, now)
  }

  /** A short deadline must not make a healthy child pay: it is killed only when the run takes far longer than expected. */
  function killIfHung(entry: Entry, now: number): void {
    const { instance } = entry
    if (!instance?.ready || !running.has(entry)) return
    const hungAt = entry.startedAt + HUNG_FACTOR * pool.balancer.postedMs(instance)
    if (hungAt > now) clock.after(hungAt - now, () => killIfHung(entry, clock.now()))
    else instance.kill('a run hung past its deadline')
  }

  // ---------------------------------------------------------------- sending

  function scheduleFlush(): void {
    if (flushScheduled) return
    flushScheduled = true
    // At the end of this turn, so that requests which arrive together run together.
    setImmediate(() => {
      flushScheduled = false
      flush()
    })
  }

  function flush(): void {
    const unavailableForMs = pool.unavailableForMs
    if (unavailableForMs !== undefined) {
      for (const entry of live) if (entry.state === 'queued') settle(entry, unavailable(unavailableForMs))
      return
    }
    while (waiting > 0) {
      const instance = pool.balancer.pick(pool.instances, next())
      const burst = instance && formBurst(instance)
      if (!burst) break
      send(instance, burst)
    }
    pool.queueChanged()
  }

  /** What waits, as the balancer sees it. */
  function next(): Next {
    const { cap, curve } = batching
    return { ms: curve.estimate(Math.min(cap, waiting)) ?? 0, runs: Math.ceil(waiting / cap) }
  }

  /** What an instance should be given now: anything when it is idle, ahead of time only little. */
  function formBurst(instance: Instance): Batch[] | undefined {
    const burst: Batch[] = []
    const idle = instance.bursts === 0
    let expectedMs = pool.balancer.postedMs(instance)
    while (burst.length < MAX_RUNS) {
      const lane = lanes.oldest()
      const head = lane?.peek()
      if (!lane || !head) break
      const first = idle && burst.length === 0
      if (head.alone && !first) break
      const batch = takeBatch(lane, head)
      const ms = batching.curve.estimate(batch.rows)
      if (!first && (ms === undefined || expectedMs + ms > AHEAD_MS)) {
        for (const entry of [...batch.entries].reverse()) lane.putBack(entry)
        break
      }
      burst.push(batch)
      if (head.alone) break
      expectedMs += ms ?? 0
    }
    return burst.length > 0 ? burst : undefined
  }

  /** The requests at the front of a lane that share a run; dead ones are passed over. */
  function takeBatch(lane: Lane<Entry>, head: Entry): Batch {
    lane.take()
    const entries = [head]
    let rows = head.rows
    if (head.alone || !batching.shared(head.lane)) return { entries, rows }
    for (let next = lane.peek(); next && !next.alone && rows + next.rows <= batching.cap; next = lane.peek()) {
      lane.take()
      entries.push(next)
      rows += next.rows
    }
    return { entries, rows }
  }

  function send(instance: Instance, burst: readonly Batch[]): void {
    const now = clock.now()
    let ms = 0
    for (const batch of burst) {
      ms += batching.curve.estimate(batch.rows) ?? 0
      for (const entry of batch.entries) {
        leaveQueue(entry)
        entry.state = 'running'
        entry.startedAt = now
        entry.instance = instance
        running.add(entry)
      }
    }
    pool.balancer.posted(instance, ms)
    instance.run(burst.map(joinBatch), (outcomes) => {
      pool.balancer.answered(instance, { expectedMs: ms, ...verdictOf(outcomes) }, now)
      for (const [index, batch] of burst.entries()) {
        for (const entry of batch.entries) running.delete(entry)
        const outcome = outcomes?.[index]
        if (outcome) finish(batch, outcome)
      }
      if (!outcomes) lose(burst.flatMap((batch) => batch.entries))
      if (waiting > 0) scheduleFlush()
    })
  }

  function joinBatch({ entries }: Batch): Run {
    const [first] = entries as readonly [Entry]
    if (entries.length === 1) return first.run
    const inputs = batching.join(entries.map((entry) => entry.run.inputs))
    return { inputs, fetches: first.run.fetches }
  }

  // ---------------------------------------------------------------- answers

  function finish({ entries, rows }: Batch, outcome: RunOutcome): void {
    const [first] = entries as readonly [Entry]
    const { inferMs } = outcome
    if ('error' in outcome) {
      if (entries.length === 1) settle(first, outcome.error)
      // One bad row must not cost its neighbours their answers: each gets its own verdict.
      else retryAlone(entries)
      return
    }
    pool.succeeded()
    batching.curve.observe(rows, inferMs)
    if (entries.length === 1) {
      settle(first, { outputs: outcome.outputs, queueMs: first.startedAt - first.enqueuedAt, inferMs, batchSize: rows })
      return
    }
    const pieces = batching.split(
      outcome.outputs,
      entries.map((entry) => entry.rows),
    )
    if (!pieces) {
      batching = unbatched('an output did not have as many rows as the inputs', batching.curve)
      retryAlone(entries)
      return
    }
    for (const [index, entry] of entries.entries()) {
      const outputs = pieces[index] ?? Object.create(null)
      settle(entry, { outputs, queueMs: entry.startedAt - entry.enqueuedAt, inferMs, batchSize: rows })
    }
  }

  /** The worker is gone. One request: it may be the cause, its caller decides. Several: each gets another chance, alone. */
  function lose(entries: readonly Entry[]): void {
    if (entries.length > 1 && pool.killable) {
      retryAlone(entries)
      return
    }
    for (const entry of entries)
      settle(entry, new ModelmountError('WORKER_LOST', 'the worker was lost while running this request', { retryAfterS: 1 }))
  }

  function retryAlone(entries: readonly Entry[]): void {
    for (const entry of [...entries].reverse()) {
      if (entry.state !== 'running') continue
      entry.state = 'queued'
      entry.alone = true
      entry.instance = undefined
      enqueue(entry, true)
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
    async drain() {
      if (live.size === 0) return
      await new Promise<void>((resolve) => {
        drained = resolve
      })
    },
    abandon(error) {
      for (const entry of live) settle(entry, error)
    },
    get waiting() {
      return waiting
    },
    get running() {
      return running.size
    },
    get oldestWaitMs() {
      const head = lanes.oldest()?.peek()
      return head ? clock.now() - head.enqueuedAt : 0
    },
  }
}

/** What a burst says about its instance, not about its requests. */
function verdictOf(outcomes: readonly RunOutcome[] | undefined): Pick<Answer, 'tookMs' | 'verdict'> {
  if (!outcomes) return { tookMs: 0, verdict: 'bad' }
  const tookMs = outcomes.reduce((sum, { inferMs }) => sum + inferMs, 0)
  if (outcomes.every((outcome) => !('error' in outcome))) return { tookMs, verdict: 'good' }
  const allFailed = outcomes.every((outcome) => 'error' in outcome && outcome.error.code === 'INFERENCE_FAILED')
  return { tookMs, verdict: allFailed ? 'bad' : 'neutral' }
}

const aborted = (signal: AbortSignal): ModelmountError =>
  new ModelmountError('ABORTED', 'the request was aborted', { cause: signal.reason })

const unavailable = (forMs: number): ModelmountError =>
  new ModelmountError('MODEL_UNAVAILABLE', 'the model crashed repeatedly and is restarted with back-off', {
    retryAfterS: Math.max(1, Math.ceil(forMs / 1000)),
  })

/** Strings are counted by a guess: measuring them would cost more than it tells. */
const BYTES_PER_STRING = 64

function bytesOf(run: Run): number {
  let bytes = 0
  for (const name in run.inputs) {
    const tensor = run.inputs[name]
    if (tensor) bytes += tensor.type === 'string' ? tensor.data.length * BYTES_PER_STRING : tensor.data.byteLength
  }
  return bytes
}

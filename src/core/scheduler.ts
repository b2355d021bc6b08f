/**
 * The queue of one model version. A free instance never waits while work is queued; expired and abandoned work leaves before it is sent.
 * Runs of microseconds share a message (a burst): one hop costs more than they do.
 */

import type { Clock, Timer } from './clock.ts'
import type { Instance, Run, RunOutcome } from './engine/instance.ts'
import type { Pool } from './engine/pool.ts'
import { ModelmountError } from './errors.ts'

/** Work that may be posted to an instance ahead of time. Small, because what is posted can no longer be dropped. */
const AHEAD_MS = 1
const MAX_BURST = 64
/** One burst runs while the next one waits at the worker, so that it never idles. */
const MAX_BURSTS = 2
/** Weight of the newest run in the running mean of run times. */
const NEWEST_WEIGHT = 0.1
/** A run is taken for hung at its deadline, but not before it took this many times as long as usual. */
const HUNG_FACTOR = 4

export interface Ticket {
  readonly run: Run
  /** On the scheduler's clock. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
}

export interface Finished {
  readonly outputs: Extract<RunOutcome, { outputs: unknown }>['outputs']
  readonly queueMs: number
  readonly inferMs: number
}

export interface Scheduler {
  /**
   * Queues a run.
   * @throws ModelmountError `QUEUE_FULL`, `MODEL_UNAVAILABLE`, `DEADLINE_EXCEEDED`, `ABORTED`, `WORKER_LOST`, `INPUT_REJECTED`, `INFERENCE_FAILED`
   */
  submit(ticket: Ticket): Promise<Finished>
  /** Looks at the queue again: an instance came or went. */
  wake(): void
  /** Resolves when everything that was accepted is answered. */
  drain(): Promise<void>
  /** Rejects everything that is still waiting or running. */
  abandon(error: ModelmountError): void
  readonly waiting: number
  readonly running: number
}

interface Entry extends Ticket {
  readonly bytes: number
  readonly enqueuedAt: number
  startedAt: number
  state: 'queued' | 'running' | 'settled'
  instance: Instance | undefined
  /** Lost together with others once: this time it runs alone, so that only the culprit pays. */
  alone: boolean
  resolve(finished: Finished): void
  reject(error: ModelmountError): void
  stopListening: (() => void) | undefined
}

interface Deps {
  readonly pool: Pool
  readonly clock: Clock
  readonly maxQueue: number
  readonly maxQueueBytes: number
}

const bytesOf = (run: Run): number => {
  let bytes = 0
  for (const name in run.inputs) {
    const tensor = run.inputs[name]
    if (tensor) bytes += tensor.type === 'string' ? tensor.data.length * 64 : tensor.data.byteLength
  }
  return bytes
}

export function createScheduler({ pool, clock, maxQueue, maxQueueBytes }: Deps): Scheduler {
  /** In order of arrival; entries that settled while waiting are skipped when their turn comes. */
  let queue: Entry[] = []
  let head = 0
  let waiting = 0
  let waitingBytes = 0
  const live = new Set<Entry>()
  let usualMs: number | undefined
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
      const entry: Entry = {
        ...ticket,
        bytes,
        enqueuedAt: now,
        startedAt: now,
        state: 'queued',
        instance: undefined,
        alone: false,
        resolve,
        reject,
        stopListening: undefined,
      }
      const { signal } = ticket
      if (signal) {
        const onAbort = (): void =>
          settle(entry, new ModelmountError('ABORTED', 'the request was aborted', { cause: signal.reason }))
        signal.addEventListener('abort', onAbort, { once: true })
        entry.stopListening = () => signal.removeEventListener('abort', onAbort)
      }
      live.add(entry)
      queue.push(entry)
      waiting++
      waitingBytes += bytes
      sweepAt(entry.deadline)
      scheduleFlush()
    })
  }

  function refuse(ticket: Ticket, bytes: number, now: number): ModelmountError | undefined {
    if (ticket.signal?.aborted) return new ModelmountError('ABORTED', 'the request was aborted', { cause: ticket.signal.reason })
    if (ticket.deadline <= now)
      return new ModelmountError('DEADLINE_EXCEEDED', 'the deadline had passed before the request was queued')
    const unavailableForMs = pool.unavailableForMs
    if (unavailableForMs !== undefined) return unavailable(unavailableForMs)
    // A lone request larger than the byte bound is let in: the body limit and maxElements have judged its size.
    if (waiting >= maxQueue || (waiting > 0 && waitingBytes + bytes > maxQueueBytes)) {
      const drainMs = (waiting * (usualMs ?? 0)) / Math.max(1, pool.instances.length)
      return new ModelmountError('QUEUE_FULL', `${waiting} requests are waiting for this model already`, {
        retryAfterS: Math.max(1, Math.ceil(drainMs / 1000)),
      })
    }
    return undefined
  }

  const unavailable = (forMs: number): ModelmountError =>
    new ModelmountError('MODEL_UNAVAILABLE', 'the model crashed repeatedly and is restarted with back-off', {
      retryAfterS: Math.max(1, Math.ceil(forMs / 1000)),
    })

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
    settle(
      entry,
      new ModelmountError(
        'DEADLINE_EXCEEDED',
        wasRunning ? 'the run did not end before the deadline' : 'the deadline passed while waiting for a free instance',
      ),
    )
    if (wasRunning && pool.killable) killIfHung(entry, now)
  }

  /** A short deadline must not make a healthy child pay: it is killed only when the run takes far longer than usual. */
  function killIfHung(entry: Entry, now: number): void {
    const { instance } = entry
    if (!instance?.ready || !running.has(entry)) return
    const hungAt = entry.startedAt + HUNG_FACTOR * (usualMs ?? 0)
    if (hungAt > now) clock.after(hungAt - now, () => killIfHung(entry, clock.now()))
    else instance.kill('a run hung past its deadline')
  }

  // ---------------------------------------------------------------- sending

  /** Entries that a worker has and has not answered, settled ones included. */
  const running = new Set<Entry>()

  function scheduleFlush(): void {
    if (flushScheduled) return
    flushScheduled = true
    // At the end of this turn, so that requests which arrive together share a burst.
    setImmediate(() => {
      flushScheduled = false
      flush()
    })
  }

  function flush(): void {
    const unavailableForMs = pool.unavailableForMs
    if (unavailableForMs !== undefined) {
      for (const entry of queue.splice(0).slice(head)) settle(entry, unavailable(unavailableForMs))
      head = 0
      return
    }
    while (waiting > 0) {
      const instance = freest()
      const burst = instance && takeBurst(room(instance), instance.outstanding === 0)
      if (!burst) return
      send(instance, burst)
    }
  }

  function freest(): Instance | undefined {
    let best: Instance | undefined
    for (const instance of pool.instances) {
      if (room(instance) > 0 && (!best || instance.outstanding < best.outstanding)) best = instance
    }
    return best
  }

  /** How many more runs an instance should be given now. */
  function room(instance: Instance): number {
    if (instance.outstanding === 0)
      return usualMs === undefined ? 1 : Math.min(MAX_BURST, Math.max(1, Math.floor(AHEAD_MS / usualMs)))
    if (usualMs === undefined || instance.bursts >= MAX_BURSTS) return 0
    return Math.min(MAX_BURST, Math.floor(AHEAD_MS / usualMs) - instance.outstanding)
  }

  function takeBurst(room: number, idle: boolean): Entry[] | undefined {
    const burst: Entry[] = []
    while (burst.length < room && head < queue.length) {
      const entry = queue[head] as Entry
      if (entry.state === 'queued') {
        if (entry.alone && (burst.length > 0 || !idle)) break
        burst.push(entry)
      }
      head++
      if (entry.state === 'queued' && entry.alone) break
    }
    // The consumed front is cut off now and then, not on every request.
    if (head > 1024 || head === queue.length) {
      queue = queue.slice(head)
      head = 0
    }
    return burst.length > 0 ? burst : undefined
  }

  function send(instance: Instance, burst: readonly Entry[]): void {
    const now = clock.now()
    for (const entry of burst) {
      leaveQueue(entry)
      entry.state = 'running'
      entry.startedAt = now
      entry.instance = instance
      running.add(entry)
    }
    instance.run(
      burst.map((entry) => entry.run),
      (outcomes) => {
        for (const entry of burst) running.delete(entry)
        if (outcomes) finish(burst, outcomes)
        else lose(burst)
        if (waiting > 0) scheduleFlush()
      },
    )
  }

  function finish(burst: readonly Entry[], outcomes: readonly RunOutcome[]): void {
    for (const [index, entry] of burst.entries()) {
      const outcome = outcomes[index]
      if (!outcome) continue
      if ('error' in outcome) {
        settle(entry, outcome.error)
        continue
      }
      pool.succeeded()
      usualMs = usualMs === undefined ? outcome.inferMs : usualMs + NEWEST_WEIGHT * (outcome.inferMs - usualMs)
      settle(entry, { outputs: outcome.outputs, queueMs: entry.startedAt - entry.enqueuedAt, inferMs: outcome.inferMs })
    }
  }

  /** The worker is gone. One run: it may be the cause, its caller decides. Several: each gets another chance, alone. */
  function lose(burst: readonly Entry[]): void {
    const open = burst.filter((entry) => entry.state === 'running')
    if (burst.length === 1 || !pool.killable) {
      for (const entry of open)
        settle(entry, new ModelmountError('WORKER_LOST', 'the worker was lost while running this request', { retryAfterS: 1 }))
      return
    }
    for (const entry of open) {
      entry.state = 'queued'
      entry.alone = true
      entry.instance = undefined
      waiting++
      waitingBytes += entry.bytes
    }
    queue = [...open, ...queue.slice(head)]
    head = 0
  }

  return {
    submit,
    wake: scheduleFlush,
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
  }
}

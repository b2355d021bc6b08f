/**
 * The real scheduler on a simulated clock with simulated workers: service times are drawn from a law, everything else is the product's own
 * code. Seconds of load pass in milliseconds, and every run is the same.
 */

import { createBalancer } from '../../src/core/engine/balance.ts'
import type { Instance } from '../../src/core/engine/instance.ts'
import type { Pool } from '../../src/core/engine/pool.ts'
import type { Run, RunOutcome } from '../../src/core/engine/run.ts'
import { NO_SESSION } from '../../src/core/engine/wire/names.ts'
import type { Clock, Timer } from '../../src/core/host/clock.ts'
import { type Batching, unbatched } from '../../src/core/scheduler/batching.ts'
import { createCap } from '../../src/core/scheduler/cap.ts'
import { createCurve } from '../../src/core/scheduler/curve.ts'
import { createScheduler, type Scheduler } from '../../src/core/scheduler/scheduler.ts'
import type { Priority } from '../../src/core/scheduler/types.ts'
import type { Tensor } from '../../src/core/tensor/types.ts'
import { sendBy } from './worker-messages.ts'

export interface Simulation {
  readonly clock: Clock
  readonly random: () => number
  /** Runs until the given time. */
  runUntil(ms: number): Promise<void>
  at(ms: number, event: () => void): void
}

export function createSimulation(seed: number): Simulation {
  const events: { at: number; order: number; call: () => void; cancelled: boolean }[] = []
  let now = 0
  let order = 0
  let state = seed >>> 0

  const push = (at: number, call: () => void) => {
    const event = { at, order: order++, call, cancelled: false }
    let low = 0
    let high = events.length
    // Kept sorted, the next one last.
    while (low < high) {
      const mid = (low + high) >> 1
      const other = events[mid]!
      if (other.at < at || (other.at === at && other.order < event.order)) high = mid
      else low = mid + 1
    }
    events.splice(low, 0, event)
    return event
  }
  const after = (ms: number, call: () => void): Timer => {
    const event = push(now + Math.max(0, ms), call)
    return {
      cancel() {
        event.cancelled = true
      },
      hold() {},
    }
  }
  return {
    clock: { now: () => now, after },
    random() {
      state = (Math.imul(state ^ (state >>> 15), 2246822519) + 3266489917) >>> 0
      return (state >>> 8) / 2 ** 24
    },
    at: (ms, event) => void push(ms, event),
    async runUntil(end) {
      while (events.length > 0 && events.at(-1)!.at <= end) {
        const event = events.pop()!
        now = event.at
        if (!event.cancelled) event.call()
        // Promises settle between events, as they do between turns of the event loop.
        await undefined
      }
      now = end
      for (let i = 0; i < 5; i++) await undefined
    },
  }
}

const ROW: Tensor = { type: 'float32', dims: [1, 1], data: new Float32Array(1) }

/** Batches of any requests, with a cap and what is known of the model at the start. */
function simulatedBatching(start: number, sizes: readonly number[], maxRunMs: number, law: (rows: number) => number): Batching {
  const curve = createCurve()
  // As after a warm-up.
  for (const rows of [1, 2, 4, 8, 16].filter((rows) => rows <= start)) for (let i = 0; i < 3; i++) curve.observe(rows, law(rows))
  const cap = createCap(start, sizes, maxRunMs)
  return {
    ...unbatched('', curve),
    get cap() {
      return cap.rows
    },
    capOf: () => cap.rows,
    nextCap: (_, waiting, now) => cap.next(waiting, now),
    observe(_, rows, ms, now) {
      curve.observe(rows, ms)
      cap.observe(rows, ms, now)
    },
    roomFor: () => Number.POSITIVE_INFINITY,
    maxRunMs,
    info: { state: 'proved', enabled: true, reason: '', maxSize: start },
    place: () => ({ bucket: '*', rows: 1 }),
    shared: () => true,
    join: (requests) => ({ x: { type: 'float32', dims: [requests.length, 1], data: new Float32Array(requests.length) } }),
    split: (_outputs, rows) => rows.map(() => ({ x: ROW })),
  }
}

interface Asked {
  readonly priority?: Priority
  readonly tenant?: string
  readonly timeoutMs?: number
}

export interface Load {
  readonly simulation: Simulation
  readonly scheduler: Scheduler
  readonly outcomes: Outcome[]
  /** Milliseconds of a run now; change it to make the model slower. */
  law: (rows: number) => number
  /** Sends a request now. */
  send(opts?: Asked): void
  /** The same. Resolves when it is answered, or refused. */
  ask(opts?: Asked): Promise<void>
  /** Milliseconds of all runs that were answered. */
  readonly busyMs: number
}

export interface Outcome {
  readonly code: 'ok' | string
  readonly priority: Priority
  readonly tenant: string
  readonly sentAt: number
  readonly latencyMs: number
  readonly batchSize: number
}

export interface LoadOptions {
  readonly seed: number
  readonly law: (rows: number) => number
  /** Standard deviation of run times, relative. */
  readonly noise?: number
  readonly cap: number
  /** Caps that may be tried. @default that one */
  readonly sizes?: readonly number[]
  readonly maxRunMs?: number
  readonly instances?: number
  readonly timeoutMs: number
  readonly maxQueue?: number
  readonly maxDelayMs?: number
  /** From the host to a worker and back, besides the run. @default 0 */
  readonly hopMs?: number
  readonly prefetch?: boolean
}

export function createLoad(opts: LoadOptions): Load {
  const simulation = createSimulation(opts.seed)
  const { clock, random } = simulation
  const outcomes: Outcome[] = []
  const { hopMs = 0 } = opts
  let busyMs = 0
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

  function createSimulated(): Instance {
    let bursts = 0
    let freeAt = 0
    return {
      id: 1,
      loaded: new Promise(() => {}),
      get bursts() {
        return bursts
      },
      get outstanding() {
        return bursts
      },
      ready: true,
      run(runs: readonly Run[], done) {
        bursts++
        const outcomes: RunOutcome[] = runs.map(({ inputs }) => {
          const rows = inputs.x?.dims[0] ?? 1
          return { outputs: { x: ROW }, inferMs: load.law(rows) * Math.max(0.2, 1 + (opts.noise ?? 0) * normal()) }
        })
        const ms = outcomes.reduce((sum, { inferMs }) => sum + inferMs, 0)
        freeAt = Math.max(freeAt, clock.now() + hopMs / 2) + ms
        const endsAt = freeAt
        clock.after(freeAt + hopMs / 2 - clock.now(), () => {
          bursts--
          busyMs += ms
          done(outcomes, endsAt - ms)
        })
      },
      names: NO_SESSION,
      send(message, rows, done) {
        sendBy(this.run)(message, rows, done)
      },
      kill: () => false,
      tier: 'worker',
      memoryBytes: undefined,
      close: async () => {},
    }
  }

  const instances = Array.from({ length: opts.instances ?? 1 }, createSimulated)
  const pool = {
    instances,
    target: instances.length,
    killable: false,
    unavailableForMs: undefined,
    unavailableBecause: undefined,
    succeeded() {},
    queueChanged() {},
    balancer: createBalancer<Instance>('fastest', { clock, random, recheck: () => scheduler.wake() }),
  } as unknown as Pool
  const scheduler: Scheduler = createScheduler({
    pool,
    clock,
    maxQueue: opts.maxQueue ?? 100_000,
    maxQueueBytes: Number.MAX_SAFE_INTEGER,
    maxQueuePerTenant: Number.MAX_SAFE_INTEGER,
    maxDelayMs: opts.maxDelayMs ?? 0,
    prefetch: opts.prefetch ?? false,
    mixTenants: false,
    defer: (callback) => void clock.after(0, callback),
  })
  scheduler.setBatching(simulatedBatching(opts.cap, opts.sizes ?? [opts.cap], opts.maxRunMs ?? 1e9, opts.law))

  const load: Load = {
    simulation,
    scheduler,
    outcomes,
    law: opts.law,
    get busyMs() {
      return busyMs
    },
    send: (opts) => void load.ask(opts),
    async ask({ priority = 'normal', tenant = '', timeoutMs = opts.timeoutMs } = {}) {
      const sentAt = clock.now()
      const note = (code: string, batchSize: number) =>
        outcomes.push({ code, priority, tenant, sentAt, latencyMs: clock.now() - sentAt, batchSize })
      await scheduler
        .submit({
          run: { inputs: { x: ROW }, fetches: ['x'] },
          enqueuedAt: sentAt,
          deadline: sentAt + timeoutMs,
          signal: undefined,
          priority,
          tenant,
          shareable: true,
        })
        .then(
          ({ batchSize }) => note('ok', batchSize),
          (error: { code: string }) => note(error.code, 0),
        )
    },
  }
  return load
}

/** Sends requests at random, `perMs` of them per millisecond on average. */
export function poisson(load: Load, from: number, until: number, perMs: number, opts?: Parameters<Load['send']>[0]): number {
  const { random } = load.simulation
  let count = 0
  const gap = () => -Math.log(1 - random()) / perMs
  for (let at = from + gap(); at < until; at += gap()) {
    load.simulation.at(at, () => load.send(opts))
    count++
  }
  return count
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

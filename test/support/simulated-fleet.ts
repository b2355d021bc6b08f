/**
 * The balancer under simulated load: ten replicas that take one request at a time, lognormal service of 10 ms on average, Poisson arrivals.
 * In `late` binding requests wait in one line and the balancer says who takes the next one, as in the pool; in `early` binding each is sent
 * at its arrival to the replica with the least expected completion.
 */

import { createBalancer } from '../../src/core/engine/balance.ts'
import {
  completionMs,
  createInstanceStats,
  fleetOf,
  type InstanceStats,
  noteAnswered,
  notePosted,
} from '../../src/core/engine/instance-stats.ts'
import type { BalanceStrategy } from '../../src/core/engine/types.ts'
import { createRandom, createSimulatedClock, exponential, lognormal } from './simulated-clock.ts'

export const SERVICE_MS = 10
export const REPLICAS = 10

interface Replica {
  readonly index: number
  /** Early binding: the work sent here. */
  readonly line: number[]
  busy: boolean
}

export interface Done {
  readonly replica: number
  readonly arrivedAt: number
  readonly at: number
  readonly ms: number
  readonly failed: boolean
}

export interface Scenario {
  readonly binding?: 'late' | 'early'
  readonly strategy?: BalanceStrategy
  /** Share of what healthy replicas can do. */
  readonly load?: number
  readonly seconds?: number
  readonly seed?: number
  /** Times slower, by replica and time. */
  slowdown?(replica: number, now: number): number
  /** True for a replica that fails everything within a millisecond. */
  fails?(replica: number, now: number): boolean
}

export function simulateFleet(scenario: Scenario): Done[] {
  const { binding = 'late', strategy = 'fastest', load = 0.7, seconds = 60, seed = 1 } = scenario
  const clock = createSimulatedClock()
  const random = createRandom(seed)
  const replicas: Replica[] = Array.from({ length: REPLICAS }, (_, index) => ({ index, line: [], busy: false }))
  const balancer = createBalancer<Replica>(strategy, { clock, random: createRandom(seed + 1), recheck: () => flush() })
  const statsByReplica = replicas.map(() => createInstanceStats(0))
  const waiting: number[] = []
  const done: Done[] = []
  let turn = 0

  function serve(replica: Replica, arrivedAt: number, answered: (ms: number, failed: boolean) => void): void {
    replica.busy = true
    const now = clock.now()
    const failed = scenario.fails?.(replica.index, now) ?? false
    const ms = failed ? 1 : lognormal(random, SERVICE_MS, 0.5) * (scenario.slowdown?.(replica.index, now) ?? 1)
    clock.after(ms, () => {
      replica.busy = false
      const at = clock.now()
      done.push({ replica: replica.index, arrivedAt, at, ms: at - arrivedAt, failed })
      answered(ms, failed)
    })
  }

  const answerOf = (ms: number, failed: boolean) =>
    ({ expectedMs: SERVICE_MS, tookMs: ms, verdict: failed ? 'bad' : 'good' }) as const

  function flush(): void {
    while (waiting.length > 0) {
      const replica = balancer.pick(replicas, { ms: SERVICE_MS, runs: waiting.length })
      // A run of 10 ms is never posted ahead.
      if (!replica || replica.busy) return
      const postedAt = clock.now()
      balancer.posted(replica, SERVICE_MS)
      serve(replica, waiting.shift() ?? 0, (ms, failed) => {
        balancer.answered(replica, answerOf(ms, failed), postedAt)
        flush()
      })
    }
  }

  function send(): void {
    const now = clock.now()
    const fleet = fleetOf(statsByReplica, now)
    const costs = statsByReplica.map((stats) => completionMs(stats, SERVICE_MS, fleet, now))
    const index = strategy === 'round-robin' ? turn++ % REPLICAS : costs.indexOf(Math.min(...costs))
    notePosted(statsByReplica[index] as InstanceStats, SERVICE_MS, now)
    replicas[index]?.line.push(now)
    work(replicas[index] as Replica)
  }

  function work(replica: Replica): void {
    const arrivedAt = replica.line[0]
    if (replica.busy || arrivedAt === undefined) return
    replica.line.shift()
    serve(replica, arrivedAt, (ms, failed) => {
      noteAnswered(statsByReplica[replica.index] as InstanceStats, { ...answerOf(ms, failed), responseMs: ms }, clock.now())
      work(replica)
    })
  }

  function arrive(): void {
    if (binding === 'early') send()
    else {
      waiting.push(clock.now())
      flush()
    }
    clock.after(exponential(random, SERVICE_MS / (REPLICAS * load)), arrive)
  }

  arrive()
  clock.runUntil(seconds * 1000)
  return done
}

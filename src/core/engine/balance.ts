/**
 * Chooses the instance for the next work. Work waits in one queue of the model until an instance can take it (late binding), so a strategy
 * decides which of several free instances gets it; `fastest` may also leave a free instance unused, where it is clearly slower than the
 * others and one of those will be done sooner. When none is free, the one with the least ahead of it may be given a little in advance.
 */

import type { Clock, Timer } from '../host/clock.ts'
import {
  type Answer,
  completionMs,
  createInstanceStats,
  type Fleet,
  fleetOf,
  type InstanceStats,
  noteAnswered,
  notePosted,
  slowness,
} from './instance-stats.ts'
import { type Candidate, least, STRATEGIES, type Strategy } from './strategies.ts'
import type { BalanceStrategy } from './types.ts'

/** One burst runs while the next one waits at the worker, so that it never idles. */
const MAX_BURSTS = 2
/** Only an endpoint this many times slower than the best one is left unused: anything less is noise, and an idle core is a loss. */
const CLEARLY_SLOWER = 2
/** If nothing else happens, unused endpoints are looked at again after this. */
const MIN_RECHECK_MS = 1
const MAX_RECHECK_MS = 1000

/** Facts about the next work. */
export interface Next {
  /** Expected milliseconds of the next run; 0 if unknown. */
  readonly ms: number
  /** Waiting runs, this one included. */
  readonly runs: number
}

export interface Balancer<E extends object> {
  /** The endpoint for the next work; `undefined` to wait. An endpoint that is busy already should only get little. */
  pick(endpoints: readonly E[], next: Next): E | undefined
  posted(endpoint: E, expectedMs: number): void
  answered(endpoint: E, answer: Omit<Answer, 'responseMs'>, postedAt: number): void
  /** Expected milliseconds of posted and unanswered work. */
  postedMs(endpoint: E): number
  /** The same, less the time since the endpoint began with it. */
  remainingMs(endpoint: E): number
  /** Endpoints that are neither clearly slower than the best one nor failing. */
  useful(endpoints: readonly E[]): readonly E[]
  /** The least needed endpoint: idle rather than busy, slow rather than fast. */
  leastUseful(endpoints: readonly E[]): E | undefined
  /** Milliseconds that endpoints have been busy, summed over all of them. */
  busyMs(): number
  close(): void
}

interface Deps {
  readonly clock: Clock
  /** 0 <= random() < 1. @default Math.random */
  readonly random?: () => number
  /** An endpoint that was left unused may be worth using by now. */
  recheck(): void
}

export function createBalancer<E extends object>(name: BalanceStrategy, deps: Deps): Balancer<E> {
  const { clock, random = Math.random } = deps
  const strategy: Strategy = STRATEGIES[name]
  const statsByEndpoint = new WeakMap<E, InstanceStats>()
  /** Turn of the last pick, per endpoint. */
  const turns = new WeakMap<E, number>()
  let turn = 0
  let timer: Timer | undefined
  let busy = 0
  let busyTotalMs = 0
  let busyAt = clock.now()

  function statsOf(endpoint: E): InstanceStats {
    let stats = statsByEndpoint.get(endpoint)
    if (!stats) {
      stats = createInstanceStats(clock.now())
      statsByEndpoint.set(endpoint, stats)
    }
    return stats
  }

  const candidates = (endpoints: readonly E[]): Candidate<E>[] =>
    endpoints.map((endpoint) => ({ endpoint, stats: statsOf(endpoint), lastTurn: turns.get(endpoint) ?? 0 }))

  const fleetIn = (all: readonly Candidate<E>[], now: number): Fleet =>
    fleetOf(
      all.map(({ stats }) => stats),
      now,
    )

  /** A busy endpoint that is worth more than a free one, if any: much faster, and done sooner even for the last in line. */
  function worthWaitingFor(
    free: Candidate<E>,
    all: readonly Candidate<E>[],
    next: Next,
    fleet: Fleet,
    now: number,
  ): Candidate<E> | undefined {
    const limit = slowness(free.stats, fleet, now) / CLEARLY_SLOWER
    const faster = all.filter(({ stats }) => slowness(stats, fleet, now) <= limit)
    const best = least(faster, ({ stats }) => completionMs(stats, next.ms, fleet, now))
    if (!best) return undefined
    const lineMs = ((next.runs - 1) * next.ms * slowness(best.stats, fleet, now)) / faster.length
    const here = completionMs(free.stats, next.ms, fleet, now)
    return completionMs(best.stats, next.ms, fleet, now) + lineMs < here ? best : undefined
  }

  function recheckAfter(ms: number): void {
    timer ??= clock.after(Math.min(MAX_RECHECK_MS, Math.max(MIN_RECHECK_MS, ms)), () => {
      timer = undefined
      deps.recheck()
    })
  }

  const canTakeMore = ({ stats }: Candidate<E>): boolean => stats.outstanding < MAX_BURSTS

  function choose(endpoints: readonly E[], next: Next): E | undefined {
    const now = clock.now()
    const all = candidates(endpoints)
    const free = all.filter(({ stats }) => stats.outstanding === 0)
    const ahead = (): E | undefined => least(all.filter(canTakeMore), ({ stats }) => stats.postedMs)?.endpoint
    if (free.length === 0) return ahead()
    const fleet = fleetIn(all, now)
    const picked = strategy.pickFree(free, { nextMs: next.ms, fleet, now, random })
    const better = strategy.waitsForFaster && picked && worthWaitingFor(picked, all, next, fleet, now)
    if (!better) return picked?.endpoint
    recheckAfter(completionMs(better.stats, 0, fleet, now))
    return canTakeMore(better) ? better.endpoint : undefined
  }

  function addBusy(change: 0 | 1 | -1): void {
    const now = clock.now()
    busyTotalMs += busy * (now - busyAt)
    busyAt = now
    busy += change
  }

  return {
    pick(endpoints, next) {
      // Nothing to choose from, the usual case.
      const [only] = endpoints
      if (endpoints.length === 1 && only) return statsOf(only).outstanding < MAX_BURSTS ? only : undefined
      return choose(endpoints, next)
    },
    posted(endpoint, expectedMs) {
      const stats = statsOf(endpoint)
      if (stats.outstanding === 0) addBusy(1)
      turns.set(endpoint, ++turn)
      notePosted(stats, expectedMs, clock.now())
    },
    answered(endpoint, answer, postedAt) {
      const stats = statsOf(endpoint)
      const now = clock.now()
      const { tookMs, expectedMs, verdict } = answer
      // Not by a spread, which takes Node 20 two microseconds of every run.
      noteAnswered(stats, { tookMs, expectedMs, verdict, responseMs: now - postedAt }, now)
      if (stats.outstanding === 0) addBusy(-1)
    },
    postedMs: (endpoint) => statsByEndpoint.get(endpoint)?.postedMs ?? 0,
    remainingMs(endpoint) {
      const stats = statsByEndpoint.get(endpoint)
      return stats && stats.outstanding > 0 ? Math.max(0, stats.postedMs - (clock.now() - stats.since)) : 0
    },
    useful(endpoints) {
      const now = clock.now()
      const all = candidates(endpoints)
      const fleet = fleetIn(all, now)
      const best = Math.min(...all.map(({ stats }) => slowness(stats, fleet, now)))
      return all.filter(({ stats }) => slowness(stats, fleet, now) < best * CLEARLY_SLOWER).map(({ endpoint }) => endpoint)
    },
    leastUseful(endpoints) {
      const now = clock.now()
      const all = candidates(endpoints)
      const idle = all.filter(({ stats }) => stats.outstanding === 0)
      const fleet = fleetIn(all, now)
      if (idle.length > 0) return least(idle, ({ stats }) => -slowness(stats, fleet, now))?.endpoint
      return least(all, ({ stats }) => completionMs(stats, 0, fleet, now))?.endpoint
    },
    busyMs() {
      addBusy(0)
      return busyTotalMs
    },
    close() {
      timer?.cancel()
      timer = undefined
    },
  }
}

/** The balancer under simulated load, and its strategies one by one. */

import { describe, expect, test } from 'vitest'
import { createBalancer } from '../../../src/core/engine/balance.ts'
import {
  createInstanceStats,
  fleetOf,
  type InstanceStats,
  noteAnswered,
  notePosted,
  slowness,
} from '../../../src/core/engine/instance-stats.ts'
import type { BalanceStrategy } from '../../../src/core/engine/types.ts'
import { createSimulatedClock, quantile } from '../../support/simulated-clock.ts'
import { type Done, REPLICAS, SERVICE_MS, simulateFleet } from '../../support/simulated-fleet.ts'

const p99 = (done: readonly Done[]): number =>
  quantile(
    done.map(({ ms }) => ms),
    0.99,
  )
const shareOf = (done: readonly Done[], replica: number): number =>
  done.filter((item) => item.replica === replica).length / done.length
const firstIsSlow = (index: number): number => (index === 0 ? 5 : 1)

/** SHOW=1 prints the figures behind the bounds. */
const report = (...figures: unknown[]): void => {
  if (process.env.SHOW) console.log(...figures)
}

/** Several seeds, so that no lucky one decides. */
const SEEDS = [1, 2, 3]

describe.each(['late', 'early'] as const)('one of ten replicas is five times slower (%s binding)', (binding) => {
  test('p99 stays within 1.5 times that of healthy replicas, and the slow one gets at most 3 %', () => {
    for (const seed of SEEDS) {
      const slow = simulateFleet({ binding, seed, slowdown: firstIsSlow })
      const ratio = p99(slow) / p99(simulateFleet({ binding, seed }))
      report(binding, seed, { ratio, share: shareOf(slow, 0), p99: p99(slow) })
      expect(ratio).toBeLessThanOrEqual(1.5)
      expect(shareOf(slow, 0)).toBeLessThanOrEqual(0.03)
    }
  })

  test('a replica that was ten times slower for 20 s gets half of its fair share back within 10 s, without a second spike', () => {
    const slowdown = (index: number, now: number): number => (index === 0 && now < 20_000 ? 10 : 1)
    for (const seed of SEEDS) {
      const done = simulateFleet({ binding, seed, seconds: 40, slowdown })
      const between = (from: number, to: number) => done.filter(({ at }) => at >= from && at < to)
      const regained = shareOf(between(25_000, 30_000), 0)
      const healthy = p99(simulateFleet({ binding, seed, seconds: 40 }))
      const first = shareOf(between(20_000, 25_000), 0)
      report(binding, seed, { first, regained, p99: p99(done), after: p99(between(20_000, 40_000)), healthy })
      expect(regained).toBeGreaterThanOrEqual(0.05)
      expect(p99(between(20_000, 40_000))).toBeLessThanOrEqual(1.5 * healthy)
    }
  })

  test('a replica that fails at once does not draw the traffic', () => {
    for (const seed of SEEDS) {
      const done = simulateFleet({ binding, seed, load: 0.6, fails: (index) => index === 0 })
      const later = done.slice(100)
      const errors = later.filter(({ failed }) => failed).length / later.length
      report(binding, seed, { errors })
      expect(errors).toBeLessThanOrEqual(0.01)
    }
  })

  test('all replicas fail: they are still tried, and mend at once', () => {
    const done = simulateFleet({ binding, load: 0.6, seconds: 40, fails: (_, now) => now < 20_000 })
    const arrivals = (from: number, to: number) => done.filter(({ at }) => at >= from && at < to)
    expect(arrivals(5000, 20_000).every(({ failed }) => failed)).toBe(true)
    const rate = (REPLICAS * 0.6) / SERVICE_MS
    expect(arrivals(5000, 20_000).length).toBeGreaterThan(0.95 * rate * 15_000)
    const after = arrivals(20_100, 40_000)
    expect(after.some(({ failed }) => failed)).toBe(false)
    expect(after.length).toBeGreaterThan(0.95 * rate * 19_900)
  })
})

test('the control: sent round robin at arrival, one slow replica ruins the tail', () => {
  const tail = (strategy: BalanceStrategy) => p99(simulateFleet({ binding: 'early', strategy, slowdown: firstIsSlow }))
  expect(tail('round-robin')).toBeGreaterThan(10 * tail('fastest'))
})

describe('strategies', () => {
  const STRATEGIES = ['fastest', 'round-robin', 'least-outstanding', 'response-time', 'two-choices'] as const

  test.each(STRATEGIES)('%s leaves nothing waiting while a healthy replica is free', (strategy) => {
    const done = simulateFleet({ strategy, load: 0.9, seconds: 30 })
    expect(done.length).toBeGreaterThan(0.98 * 0.9 * 30_000)
    for (let i = 0; i < REPLICAS; i++) expect(shareOf(done, i)).toBeGreaterThan(0.02)
    // One line for all: the wait is that of ten servers sharing it, whichever of them is taken.
    expect(p99(done)).toBeLessThan(60)
  })

  test('with a slow replica only the fastest keeps the tail', () => {
    const tails = Object.fromEntries(
      STRATEGIES.map((strategy) => [strategy, p99(simulateFleet({ strategy, slowdown: firstIsSlow }))]),
    )
    report(tails)
    for (const strategy of STRATEGIES.slice(1)) expect(tails[strategy]).toBeGreaterThan(1.3 * (tails.fastest ?? 0))
  })

  const some = Array.from({ length: 3 }, (_, index) => ({ index }))
  const NEXT = { ms: 10, runs: 1 }
  function balancerOf(strategy: BalanceStrategy, random = () => 0) {
    const clock = createSimulatedClock()
    let rechecks = 0
    const balancer = createBalancer<{ index: number }>(strategy, { clock, random, recheck: () => rechecks++ })
    return {
      ...balancer,
      clock,
      rechecks: () => rechecks,
      run(index: number, tookMs: number, verdict: 'good' | 'bad' = 'good') {
        const postedAt = clock.now()
        balancer.posted(some[index]!, 10)
        clock.runUntil(postedAt + tookMs)
        balancer.answered(some[index]!, { expectedMs: 10, tookMs, verdict }, postedAt)
      },
    }
  }

  test('round robin takes turns', () => {
    const { pick, run } = balancerOf('round-robin')
    const order = Array.from({ length: 6 }, () => {
      const { index } = pick(some, NEXT)!
      run(index, 10)
      return index
    })
    expect(order).toEqual([0, 1, 2, 0, 1, 2])
  })

  test.each(STRATEGIES)('%s: work for a busy one only when none is free, and never more than one burst ahead', (strategy) => {
    const { pick, posted } = balancerOf(strategy)
    const taken = Array.from({ length: 6 }, () => {
      const picked = pick(some, NEXT)
      if (picked) posted(picked, 1)
      return picked?.index
    })
    expect([...taken.slice(0, 3)].sort()).toEqual([0, 1, 2])
    expect([...taken.slice(3)].sort()).toEqual([0, 1, 2])
    expect(pick(some, NEXT)).toBeUndefined()
  })

  test('fastest leaves a clearly slower one unused for a short line, uses it for a long one, and looks again by itself', () => {
    const { pick, posted, run, clock, rechecks } = balancerOf('fastest')
    for (let i = 0; i < 30; i++) for (const index of [0, 1, 2]) run(index, index === 0 ? 40 : 10)
    posted(some[1]!, 10)
    posted(some[2]!, 10)
    // Busy ones are worth waiting for; the caller gives them nothing of 10 ms ahead.
    expect(pick(some, NEXT)?.index).not.toBe(0)
    expect(pick(some, { ms: 10, runs: 12 })?.index).toBe(0)
    clock.runUntil(clock.now() + 2000)
    expect(rechecks()).toBe(1)
    // They are long overdue: a hung one is not worth waiting for.
    expect(pick(some, NEXT)?.index).toBe(0)
  })

  test('one bad answer among good ones does not count against an instance, three in a row do', () => {
    const { pick, run } = balancerOf('fastest')
    for (const index of [0, 1, 2]) run(index, 10)
    for (let i = 0; i < 5; i++) {
      run(0, 10, 'bad')
      run(0, 9)
    }
    expect(pick(some, NEXT)?.index).toBe(0)
    for (let i = 0; i < 3; i++) run(0, 1, 'bad')
    expect(pick(some, NEXT)?.index).not.toBe(0)
  })

  test('the useful ones, and the one that is missed least', () => {
    const { useful, leastUseful, posted, run } = balancerOf('fastest')
    for (let i = 0; i < 10; i++) for (const index of [0, 1, 2]) run(index, index === 1 ? 50 : 10)
    expect(useful(some).map(({ index }) => index)).toEqual([0, 2])
    expect(leastUseful(some)?.index).toBe(1)
    posted(some[1]!, 10)
    expect(leastUseful(some)?.index).not.toBe(1)
    expect(leastUseful([])).toBeUndefined()
  })

  test('busy time is summed over instances', () => {
    const { busyMs, posted, answered, clock } = balancerOf('fastest')
    const [a, b] = some as [{ index: number }, { index: number }]
    posted(a, 10)
    clock.runUntil(10)
    posted(b, 10)
    posted(b, 10)
    clock.runUntil(30)
    answered(a, { expectedMs: 10, tookMs: 30, verdict: 'good' }, 0)
    clock.runUntil(40)
    for (let i = 0; i < 2; i++) answered(b, { expectedMs: 10, tookMs: 10, verdict: 'good' }, 10)
    clock.runUntil(1000)
    expect(busyMs()).toBe(30 + 30)
  })
})

test('what an endpoint was once is forgotten down to half of what the others are', () => {
  const all = Array.from({ length: 3 }, () => createInstanceStats(0))
  for (let now = 0; now < 1000; now += 100)
    for (const [i, stats] of all.entries()) {
      notePosted(stats, 10, now)
      const answer = { expectedMs: 10, tookMs: i === 0 ? 100 : 10, responseMs: 10, verdict: 'good' } as const
      noteAnswered(stats, answer, now)
    }
  const at = (now: number): number => slowness(all[0] as InstanceStats, fleetOf(all, now), now)
  expect(at(900)).toBeCloseTo(5)
  expect(at(5900)).toBeCloseTo(5 / Math.E)
  expect(at(60_000)).toBeCloseTo(0.5)
})

/** Expectations of an endpoint after its answers, and the choice of one of several. */

import { describe, expect, test } from 'vitest'
import { createBalancer } from '../../../src/core/engine/balance.ts'
import {
  type Answer,
  completionMs,
  createInstanceStats,
  fleetOf,
  type InstanceStats,
  noteAnswered,
  notePosted,
  responseCost,
  slowness,
} from '../../../src/core/engine/instance-stats.ts'
import { BALANCE_STRATEGIES } from '../../../src/core/engine/strategies.ts'
import type { BalanceStrategy } from '../../../src/core/types.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

/** By which what is known of an endpoint is believed less over time. */
const DECAY_MS = 5000
const GOOD: Answer = { expectedMs: 10, tookMs: 10, responseMs: 10, verdict: 'good' }

/** An endpoint after some answers, all at once. */
function statsAfter(answers: readonly Partial<Answer>[], now = 0): InstanceStats {
  const stats = createInstanceStats(now)
  for (const answer of answers) {
    notePosted(stats, answer.expectedMs ?? GOOD.expectedMs, now)
    noteAnswered(stats, { ...GOOD, ...answer }, now)
  }
  return stats
}
const alone = (stats: InstanceStats, now = 0) => fleetOf([stats], now)
const slownessOf = (stats: InstanceStats, now = 0): number => slowness(stats, alone(stats, now), now)
const times = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item)

describe('how slow an endpoint is', () => {
  test('is what its first run shows, five times at most, and then moves by a tenth a run', () => {
    expect(slownessOf(statsAfter([{ tookMs: 20 }]))).toBe(2)
    expect(slownessOf(statsAfter([{ tookMs: 1000 }]))).toBe(5)
    expect(slownessOf(statsAfter([{ tookMs: 20 }, { tookMs: 10 }]))).toBeCloseTo(1.9)
  })

  test('is not learned from what says nothing of it', () => {
    for (const answer of [{ verdict: 'neutral' }, { verdict: 'bad' }, { expectedMs: 0 }] as const)
      expect(statsAfter([{ tookMs: 20 }, { ...answer, tookMs: 5000 }]).factor).toBe(2)
  })

  test('is forgotten with time, down to half of what is usual; one run then weighs more', () => {
    const stats = statsAfter([{ tookMs: 20 }])
    const usual = { medianFactor: 1, medianResponseMs: 0, panics: false }
    expect(slowness(stats, usual, DECAY_MS / 2)).toBeCloseTo(2 * Math.exp(-0.5))
    expect(slowness(stats, usual, 100 * DECAY_MS)).toBe(0.5)
    noteAnswered(stats, { ...GOOD, tookMs: 10 }, DECAY_MS)
    const kept = Math.exp(-1)
    expect(stats.factor).toBeCloseTo(2 * kept * kept + (1 - kept))
  })

  test('of a new one is the usual; the faster of two is', () => {
    const fleet = fleetOf([1, 3].map((factor) => statsAfter([{ tookMs: 10 * factor }])).concat(createInstanceStats(0)), 0)
    expect(fleet.medianFactor).toBe(1)
    expect(slowness(createInstanceStats(0), { ...fleet, medianFactor: 3 }, 0)).toBe(3)
    expect(
      fleetOf(
        [1, 2, 3].map((factor) => statsAfter([{ tookMs: 10 * factor }])),
        0,
      ).medianFactor,
    ).toBe(2)
    expect(fleetOf([createInstanceStats(0)], 0)).toEqual({ medianFactor: 1, medianResponseMs: 0, panics: false })
  })
})

describe('one that fails', () => {
  const bad = { verdict: 'bad' } as const

  test('three times in a row is shunned for five seconds, and twice as long each time, up to a minute', () => {
    const untils = [2, 3, 4, 5, 6, 7, 8].map((count) => statsAfter(times(count, bad)).shunnedUntil)
    expect(untils).toEqual([Number.NEGATIVE_INFINITY, 5000, 10_000, 20_000, 40_000, 60_000, 60_000])
  })

  test('is worth a tenth of the others while it is shunned, unless more than half of all are', () => {
    const stats = statsAfter(times(3, bad))
    const healthy = [createInstanceStats(0), createInstanceStats(0)]
    const fleet = fleetOf([stats, ...healthy], 4999)
    expect(slowness(stats, fleet, 4999)).toBe(10)
    expect(slowness(stats, fleet, 5000)).toBe(1)
    expect(responseCost(stats, { ...fleet, medianResponseMs: 7 }, 0)).toBe(70)
    expect(fleetOf([stats, createInstanceStats(0)], 0).panics).toBe(false)
    expect(slowness(stats, fleetOf([stats, stats, createInstanceStats(0)], 0), 0)).toBe(1)
  })

  test('is as before with one good answer; a caller that is to blame changes nothing', () => {
    const stats = statsAfter([bad, bad, { verdict: 'neutral' }, bad])
    expect(stats.shunnedUntil).toBe(5000)
    noteAnswered(stats, GOOD, 0)
    expect([stats.shunnedUntil, stats.failures]).toEqual([Number.NEGATIVE_INFINITY, 0])
  })
})

describe('when an answer would be here', () => {
  const usual = { medianFactor: 2, medianResponseMs: 0, panics: false }

  test('is after what is posted, at the speed of the endpoint, less the time since it began', () => {
    const stats = createInstanceStats(0)
    expect(completionMs(stats, 10, usual, 0)).toBe(20)
    notePosted(stats, 10, 100)
    notePosted(stats, 5, 110)
    expect(completionMs(stats, 10, usual, 110)).toBe(2 * 15 - 10 + 20)
    // Ten beyond what was expected, it may take ten more.
    expect(completionMs(stats, 10, usual, 140)).toBe(10 + 20)
    noteAnswered(stats, { ...GOOD, verdict: 'neutral' }, 140)
    expect([stats.outstanding, stats.postedMs, stats.since]).toEqual([1, 5, 140])
    noteAnswered(stats, { ...GOOD, verdict: 'neutral' }, 150)
    noteAnswered(stats, { ...GOOD, verdict: 'neutral' }, 150)
    expect([stats.outstanding, stats.postedMs]).toEqual([0, 0])
  })

  test('by response times alone is one more than those in line, of an average that rises at once and falls slowly', () => {
    const stats = statsAfter([{ responseMs: 10 }, { responseMs: 30 }])
    expect(responseCost(stats, usual, 0)).toBe(30)
    notePosted(stats, 10, 0)
    notePosted(stats, 10, 0)
    expect(responseCost(stats, usual, 0)).toBe(90)
    expect(responseCost(stats, { ...usual, medianResponseMs: 100 }, 0)).toBe(150)
    noteAnswered(stats, { ...GOOD, responseMs: 10 }, DECAY_MS)
    const kept = Math.exp(-1)
    expect(stats.responseMs).toBeCloseTo(30 * kept + 10 * (1 - kept))
    expect(responseCost(createInstanceStats(0), { ...usual, medianResponseMs: 7 }, 0)).toBe(7)
  })
})

describe('of several endpoints', () => {
  const NEXT = { ms: 10, runs: 1 }

  function setUp(strategy: BalanceStrategy, count: number, random?: () => number) {
    const clock = createSimulatedClock()
    let rechecks = 0
    const balancer = createBalancer<{ readonly name: string }>(strategy, {
      clock,
      ...(random ? { random } : {}),
      recheck: () => void rechecks++,
    })
    const all = Array.from({ length: count }, (_, i) => ({ name: 'abcdef'[i] ?? '' }))
    /** Runs that took so many times as long as expected, all at once. */
    const ran = (factors: readonly number[]): void => {
      for (const [i, endpoint] of all.entries()) {
        balancer.posted(endpoint, 10)
        balancer.answered(
          endpoint,
          { expectedMs: 10, tookMs: 10 * (factors[i] ?? 1), verdict: 'good' },
          clock.now() - 10 * (factors[i] ?? 1),
        )
      }
    }
    const pick = (next = NEXT): string | undefined => balancer.pick(all, next)?.name
    /** Picks, and posts what it picked. */
    const take = (): string | undefined => {
      const endpoint = balancer.pick(all, NEXT)
      if (endpoint) balancer.posted(endpoint, NEXT.ms)
      return endpoint?.name
    }
    return { clock, balancer, all, ran, pick, take, rechecks: () => rechecks }
  }

  test('the fastest that is free gets work', () => {
    const { ran, take } = setUp('fastest', 3)
    ran([1.9, 1, 1.5])
    expect([take(), take(), take()]).toEqual(['b', 'c', 'a'])
  })

  test('one that is less than half as fast waits for the others, and is looked at again when one of those is done', async () => {
    const { ran, take, pick, rechecks, clock, balancer } = setUp('fastest', 2)
    ran([1, 4])
    expect([take(), take()]).toEqual(['a', 'a'])
    // Two stand before it, and four times as long is about as soon.
    expect(pick()).toBeUndefined()
    expect(rechecks()).toBe(0)
    await clock.letPass(20)
    expect(rechecks()).toBe(1)
    balancer.close()
    await clock.letPass(2000)
    expect(rechecks()).toBe(1)
  })

  test('it does get work where the line before the fast ones is long', () => {
    const { ran, take, pick } = setUp('fastest', 2)
    ran([1, 4])
    take()
    expect(pick({ ms: 10, runs: 4 })).toBe('b')
    expect(pick({ ms: 10, runs: 1 })).toBe('a')
  })

  test.each(BALANCE_STRATEGIES)('%s never leaves work waiting while all are free', (strategy) => {
    for (let count = 1; count <= 4; count++) {
      const { pick } = setUp(strategy, count)
      expect(['a', 'b', 'c', 'd'].slice(0, count)).toContain(pick())
    }
  })

  test('by turns, whatever their speed', () => {
    for (const strategy of ['round-robin', 'least-outstanding'] as const) {
      const { ran, take, balancer, all, clock } = setUp(strategy, 3)
      ran([1, 5, 1])
      expect([take(), take(), take()]).toEqual(['a', 'b', 'c'])
      for (const i of [1, 0]) balancer.answered(all[i] as never, { expectedMs: 10, tookMs: 10, verdict: 'good' }, clock.now())
      expect([take(), take()]).toEqual(['a', 'b'])
    }
  })

  test('by response times', () => {
    const { ran, pick } = setUp('response-time', 3)
    ran([3, 2, 1])
    expect(pick()).toBe('c')
  })

  test('the better one of two different ones that were drawn', () => {
    for (const [draws, expected] of [
      [[0, 0], 'b'],
      [[0, 0.99], 'a'],
      [[0.99, 0], 'a'],
      [[0.4, 0], 'b'],
    ] as const) {
      let at = 0
      const { ran, pick } = setUp('two-choices', 3, () => draws[at++] ?? 0)
      ran([1.2, 1, 1.4])
      expect(pick()).toBe(expected)
    }
    const lonely = setUp('two-choices', 2)
    lonely.take()
    lonely.balancer.posted(lonely.all[1] as never, 10)
    expect(lonely.pick()).toBeDefined()
  })

  test('when none is free, the one with the least ahead of it gets one more; none gets a third', () => {
    const { all, balancer, pick } = setUp('fastest', 2)
    const [a, b] = all as [never, never]
    balancer.posted(a, 30)
    balancer.posted(b, 20)
    expect(pick()).toBe('b')
    balancer.posted(b, 20)
    expect(pick()).toBe('a')
    balancer.posted(a, 20)
    expect(pick()).toBeUndefined()
    expect([balancer.postedMs(a), balancer.postedMs(b)]).toEqual([50, 40])
  })

  test('one alone gets two', () => {
    const { take } = setUp('fastest', 1)
    expect([take(), take(), take()]).toEqual(['a', 'a', undefined])
  })

  test('what is left to do, and how long all were busy, are known', async () => {
    const { clock, all, balancer } = setUp('fastest', 2)
    const [a, b] = all as [never, never]
    expect([balancer.postedMs(a), balancer.remainingMs(a)]).toEqual([0, 0])
    balancer.posted(a, 30)
    await clock.letPass(10)
    balancer.posted(b, 5)
    balancer.posted(b, 5)
    await clock.letPass(15)
    expect([balancer.remainingMs(a), balancer.remainingMs(b)]).toEqual([5, 0])
    expect(balancer.busyMs()).toBe(25 + 15)
    balancer.answered(b, { expectedMs: 5, tookMs: 15, verdict: 'good' }, 10)
    await clock.letPass(5)
    balancer.answered(b, { expectedMs: 5, tookMs: 5, verdict: 'good' }, 10)
    await clock.letPass(100)
    expect(balancer.busyMs()).toBe(130 + 20)
    expect(balancer.remainingMs(b)).toBe(0)
  })

  test('the useful ones are less than twice as slow as the best; the slowest idle one is missed least', () => {
    const { ran, all, balancer } = setUp('fastest', 4)
    ran([1, 1.9, 2, 4])
    expect(balancer.useful(all).map(({ name }) => name)).toEqual(['a', 'b'])
    expect(balancer.leastUseful(all)?.name).toBe('d')
    balancer.posted(all[3] as never, 1)
    expect(balancer.leastUseful(all)?.name).toBe('c')
    for (const [i, ms] of [30, 20, 20].entries()) balancer.posted(all[i] as never, ms)
    // All are busy: the one that is done first.
    expect(balancer.leastUseful(all)?.name).toBe('d')
    expect(balancer.leastUseful([])).toBeUndefined()
  })
})

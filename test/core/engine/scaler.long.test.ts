/** The scaler under simulated load: one line, instances that take a while to start, Poisson arrivals. */

import { describe, expect, test } from 'vitest'
import { createScaler } from '../../../src/core/engine/scaler.ts'
import { createRandom, createSimulatedClock, exponential, lognormal, quantile } from '../../support/simulated-clock.ts'

const MINUTE = 60_000

interface Scenario {
  readonly min?: number
  readonly max?: number
  readonly targetDelayMs?: number
  readonly idleMs?: number
  readonly loadMs?: number
  readonly serviceMs?: number
  readonly sigma?: number
  readonly minutes: number
  readonly seed?: number
  /** Requests per second. */
  rate(now: number): number
  /** How many of the asked-for instances may be added. */
  allow?(count: number, now: number): number
  /** True when an instance that starts now fails to. */
  failsToStart?(now: number): boolean
}

function simulate(scenario: Scenario) {
  const { min = 1, max = 4, targetDelayMs = 20, idleMs = MINUTE, loadMs = 500, serviceMs = 10, sigma = 0.5 } = scenario
  const clock = createSimulatedClock()
  const random = createRandom(scenario.seed ?? 1)
  const waiting: number[] = []
  const waits: { readonly at: number; readonly ms: number }[] = []
  const steps: { readonly at: number; readonly to: number }[] = []
  let target = min
  let ready = min
  let busy = 0
  let busyMs = 0
  let busyAt = 0
  let grows = 0

  const setTarget = (to: number): void => {
    target = to
    steps.push({ at: clock.now(), to })
  }
  const setBusy = (to: number): void => {
    busyMs += busy * (clock.now() - busyAt)
    busyAt = clock.now()
    busy = to
  }

  const scaler = createScaler(
    { min, max, targetDelayMs, idleMs },
    {
      clock,
      look() {
        setBusy(busy)
        const oldestWaitMs = waiting.length > 0 ? clock.now() - (waiting[0] ?? 0) : 0
        return { oldestWaitMs, target, ready, starting: ready < target, allBusy: busy >= ready, busyMs }
      },
      grow(count) {
        grows++
        const added = scenario.allow?.(count, clock.now()) ?? count
        if (added === 0) return 0
        setTarget(target + added)
        for (let i = 0; i < added; i++)
          clock.after(loadMs, () => {
            if (scenario.failsToStart?.(clock.now())) {
              scaler.failed()
              setTarget(target - 1)
              return
            }
            ready++
            flush()
          })
        return added
      },
      shrink() {
        setTarget(target - 1)
        ready--
      },
    },
  )

  function flush(): void {
    while (waiting.length > 0 && busy < ready) {
      const arrivedAt = waiting.shift() ?? 0
      waits.push({ at: clock.now(), ms: clock.now() - arrivedAt })
      setBusy(busy + 1)
      clock.after(lognormal(random, serviceMs, sigma), () => {
        setBusy(busy - 1)
        flush()
      })
    }
    scaler.check()
  }

  function arrive(): void {
    const rate = scenario.rate(clock.now())
    if (rate > 0) {
      waiting.push(clock.now())
      flush()
    }
    clock.after(rate > 0 ? exponential(random, 1000 / rate) : 100, arrive)
  }

  arrive()
  clock.runUntil(scenario.minutes * MINUTE)
  return {
    steps,
    grows,
    target: () => target,
    p99: (from: number, to: number) =>
      quantile(
        waits.filter(({ at }) => at >= from && at < to).map(({ ms }) => ms),
        0.99,
      ),
    highest: Math.max(min, ...steps.map(({ to }) => to)),
    ups: steps.filter(({ to }, i) => to > (steps[i - 1]?.to ?? min)),
    downs: steps.filter(({ to }, i) => to < (steps[i - 1]?.to ?? min)),
  }
}

const report = (...figures: unknown[]): void => {
  if (process.env.SHOW) console.log(...figures)
}

describe('up', () => {
  test('a load of three instances is met within a second, plus what loading takes', () => {
    // 100 requests per second are what one instance can do.
    const { steps, highest, p99 } = simulate({ minutes: 5, rate: (now) => (now < MINUTE ? 30 : 300) })
    const reached = steps.find(({ to }) => to === 4)
    report('step', steps, p99(2 * MINUTE, 5 * MINUTE))
    expect(highest).toBe(4)
    expect(reached?.at).toBeLessThan(MINUTE + 1000 + 500)
    expect(steps.every(({ at }) => at > MINUTE)).toBe(true)
    expect(p99(2 * MINUTE, 5 * MINUTE)).toBeLessThan(40)
  })

  test('one instance is enough for a third of what it can do, and for bursts that it works off by itself', () => {
    for (const seed of [1, 2, 3]) {
      expect(simulate({ minutes: 60, seed, rate: () => 30 }).steps).toEqual([])
      // Twenty requests within 10 ms, every second.
      expect(simulate({ minutes: 10, seed, serviceMs: 4, sigma: 0, rate: (now) => (now % 1000 < 10 ? 2000 : 0) }).steps).toEqual(
        [],
      )
    }
  })

  test('never over max, and never asked again before the last ones are there', () => {
    const { highest, ups } = simulate({ minutes: 1, max: 3, loadMs: 20_000, rate: () => 500 })
    expect(highest).toBe(3)
    expect(ups.map(({ to }) => to)).toEqual([2, 3])
    expect((ups[1]?.at ?? 0) - (ups[0]?.at ?? 0)).toBeGreaterThan(20_000)
  })

  test('no CPU or memory: asks once a second, not more', () => {
    const { steps, grows } = simulate({ minutes: 1, rate: () => 150, allow: () => 0 })
    expect(steps).toEqual([])
    expect(grows).toBeGreaterThan(50)
    expect(grows).toBeLessThanOrEqual(60)
  })

  test('instances that fail to load are tried less and less often', () => {
    const { ups } = simulate({ minutes: 10, max: 2, rate: () => 150, failsToStart: () => true })
    expect(ups.length).toBeGreaterThan(5)
    expect(ups.length).toBeLessThan(30)
  })
})

describe('down', () => {
  test('one by one, each after an idle period, to min', () => {
    const { steps, downs } = simulate({ minutes: 10, rate: (now) => (now < MINUTE ? 380 : 0) })
    report('down', steps)
    expect(downs.map(({ to }) => to)).toEqual([3, 2, 1])
    for (const [i, { at }] of downs.entries()) expect(at).toBeGreaterThanOrEqual(MINUTE * (i + 1))
    const gaps = downs.slice(1).map(({ at }, i) => at - (downs[i]?.at ?? 0))
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(MINUTE)
  })

  test('as far as the load allows', () => {
    const { target, highest } = simulate({ minutes: 30, rate: (now) => (now < MINUTE ? 380 : 90) })
    expect(highest).toBe(4)
    // 0.9 busy on average: two are needed, and one of three may go.
    expect(target()).toBe(2)
  })
})

describe('does not flap', () => {
  test.each([40, 50, 70, 90, 120, 180])('at a steady %i requests per second, for an hour', (rate) => {
    for (const seed of [1, 2]) {
      const { steps, ups, downs } = simulate({ minutes: 60, seed, rate: () => rate })
      report(rate, seed, { ups: ups.length, downs: downs.length, last: steps.at(-1) })
      // An hour has 60 idle periods.
      expect(downs.length).toBeLessThanOrEqual(5)
    }
  })

  test('a load that comes and goes every two minutes is not followed each time', () => {
    const { downs } = simulate({ minutes: 120, rate: (now) => (now % (4 * MINUTE) < 2 * MINUTE ? 250 : 5) })
    report('square', downs.length)
    // 30 swings of three instances each.
    expect(downs.length).toBeLessThan(30)
  })
})

test('nothing is decided, and no timer runs, after pause and close', () => {
  const clock = createSimulatedClock()
  let grows = 0
  const load = { oldestWaitMs: 1000, target: 1, ready: 1, starting: false, allBusy: true, busyMs: 0 }
  const deps = { clock, look: () => load, grow: () => ++grows, shrink() {} }
  const scaler = createScaler({ min: 1, max: 2, targetDelayMs: 20, idleMs: 1000 }, deps)
  scaler.check()
  scaler.pause()
  clock.runUntil(5000)
  expect(grows).toBe(0)
  scaler.check()
  clock.runUntil(10_000)
  expect(grows).toBeGreaterThan(0)
  scaler.close()
  const before = grows
  scaler.check()
  clock.runUntil(20_000)
  expect(grows).toBe(before)
})

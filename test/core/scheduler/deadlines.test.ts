/** One timer for many deadlines: it fires in time, and keeps the process only while a caller waits. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Clock } from '../../../src/core/host/clock.ts'
import { createDeadlines } from '../../../src/core/scheduler/deadlines.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

/** A clock that tells which timers run, and which of them keep the process. */
function watchedClock() {
  const clock = createSimulatedClock()
  const running = new Map<object, { readonly at: number; held: boolean }>()
  const watched: Clock = {
    now: clock.now,
    after(ms, callback) {
      const key = {}
      running.set(key, { at: clock.now() + ms, held: false })
      const timer = clock.after(ms, () => {
        running.delete(key)
        callback()
      })
      return {
        cancel() {
          running.delete(key)
          timer.cancel()
        },
        hold(held) {
          const state = running.get(key)
          if (state) state.held = held
        },
      }
    },
  }
  return { clock, watched, running: () => [...running.values()] }
}

test('the later deadline first: only the timer of the earlier one runs, and once nothing waits none keeps the process', () => {
  const { watched, running } = watchedClock()
  const items = new Set([30_000, 100])
  const deadlines = createDeadlines<number>(
    watched,
    () => items,
    (at) => at,
    () => {},
  )
  deadlines.watch(30_000)
  deadlines.watch(100)
  expect(running()).toEqual([{ at: 100, held: true }])
  items.clear()
  deadlines.rest()
  expect(running().filter(({ held }) => held)).toEqual([])
})

test('once it has ended no timer is left that keeps in memory what it watched over', () => {
  const { watched, running } = watchedClock()
  const deadlines = createDeadlines<number>(
    watched,
    () => [],
    (at) => at,
    () => {},
  )
  deadlines.watch(30_000)
  deadlines.rest()
  expect(running()).toHaveLength(1)
  deadlines.end()
  expect(running()).toEqual([])
})

test('kind: in whatever order they come, each expires at its time, one timer runs, and it keeps the process while anything waits', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('watch' as const), ms: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ kind: fc.constant('leave' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 30 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { clock, watched, running } = watchedClock()
      const items = new Set<{ readonly deadline: number }>()
      const deadlines = createDeadlines<{ readonly deadline: number }>(
        watched,
        () => [...items],
        ({ deadline }) => deadline,
        (item, now) => {
          expect(now).toBe(item.deadline)
          items.delete(item)
          if (items.size === 0) deadlines.rest()
        },
      )
      for (const step of steps) {
        if (step.kind === 'pass') clock.runUntil(clock.now() + step.ms)
        else if (step.kind === 'watch') {
          const item = { deadline: clock.now() + step.ms }
          items.add(item)
          deadlines.watch(item.deadline)
        } else {
          const [item] = [...items].slice(step.which % Math.max(1, items.size))
          if (!item) continue
          items.delete(item)
          if (items.size === 0) deadlines.rest()
        }
        for (const { deadline } of items) expect(deadline).toBeGreaterThan(clock.now())
        expect(running().length).toBeLessThanOrEqual(1)
        expect(running().some(({ held }) => held)).toBe(items.size > 0)
      }
    }),
    { numRuns: 200 },
  )
})

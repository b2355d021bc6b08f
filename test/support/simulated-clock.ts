/** Time and chance by hand: a clock that jumps from event to event, and reproducible random numbers. */

import type { Clock, Timer } from '../../src/core/host/clock.ts'

export interface SimulatedClock extends Clock {
  /** Timers that keep the process alive. */
  readonly held: number
  /** Lets time pass up to `until`, calling back whatever is due on the way. */
  runUntil(until: number): void
  /** The same, with a turn of the event loop after each step, for code that waits for promises. */
  letPass(ms: number): Promise<void>
}

interface Due {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

/** A binary heap: simulations have many thousands of events. */
function createHeap() {
  const items: Due[] = []
  const before = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
  const at = (i: number): Due => items[i] as Due
  const swap = (i: number, j: number): void => {
    const item = at(i)
    items[i] = at(j)
    items[j] = item
  }
  return {
    peek: (): Due | undefined => items[0],
    push(item: Due): void {
      let i = items.push(item) - 1
      for (let up = (i - 1) >> 1; i > 0 && before(at(i), at(up)); up = (i - 1) >> 1) {
        swap(i, up)
        i = up
      }
    },
    pop(): void {
      const last = items.pop()
      if (!last || items.length === 0) return
      items[0] = last
      for (let i = 0; ; ) {
        const [left, right] = [2 * i + 1, 2 * i + 2]
        let least = i
        if (left < items.length && before(at(left), at(least))) least = left
        if (right < items.length && before(at(right), at(least))) least = right
        if (least === i) return
        swap(i, least)
        i = least
      }
    },
  }
}

export function createSimulatedClock(): SimulatedClock {
  const heap = createHeap()
  const cancelled = new Set<Due>()
  const held = new Set<Due>()
  let now = 0
  let order = 0

  function step(until: number): boolean {
    const due = heap.peek()
    if (!due || due.at > until) return false
    heap.pop()
    if (cancelled.delete(due)) return true
    now = Math.max(now, due.at)
    due.callback()
    return true
  }

  return {
    now: () => now,
    get held() {
      return held.size
    },
    after(ms, callback): Timer {
      let isOver = false
      const due: Due = {
        at: now + Math.max(0, ms),
        order: order++,
        callback() {
          isOver = true
          held.delete(due)
          callback()
        },
      }
      heap.push(due)
      return {
        cancel() {
          isOver = true
          held.delete(due)
          cancelled.add(due)
        },
        hold(hold) {
          if (hold && !isOver) held.add(due)
          else held.delete(due)
        },
      }
    },
    runUntil(until) {
      while (step(until));
      now = Math.max(now, until)
    },
    async letPass(ms) {
      const until = now + ms
      const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
      await turn()
      while (step(until)) await turn()
      now = until
    },
  }
}

export type Random = () => number

/** mulberry32: small and good enough for queues. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Time to the next arrival of a Poisson process. */
export const exponential = (random: Random, mean: number): number => -mean * Math.log(1 - random())

/** Lognormal with that mean; sigma is that of the logarithm. */
export function lognormal(random: Random, mean: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return mean * Math.exp(sigma * normal - (sigma * sigma) / 2)
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

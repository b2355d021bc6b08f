/** One timer for many deadlines: a timer each would cost more than a small run. It fires for the earliest and moves on to the next. */

import type { Clock, Timer } from '../host/clock.ts'

export interface Deadlines {
  /** An item with that deadline is now among `items()`. */
  watch(deadline: number): void
  /** Nothing is left to wait for, so the process may end. */
  rest(): void
  /** The same for good: nothing here keeps the watched items in memory. */
  end(): void
}

/**
 * @param items everything that has a deadline now
 * @param deadlineOf on the clock; Infinity for none
 * @param expire called for each item whose deadline has come
 */
export function createDeadlines<T>(
  clock: Clock,
  items: () => Iterable<T>,
  deadlineOf: (item: T) => number,
  expire: (item: T, now: number) => void,
): Deadlines {
  let next: { readonly at: number; readonly timer: Timer } | undefined

  function watch(deadline: number): void {
    if (!next || next.at > deadline) {
      next?.timer.cancel()
      next = { at: deadline, timer: clock.after(Math.ceil(deadline - clock.now()), onTimer) }
    }
    // The process must stay alive for a waiting caller, for example during a restart.
    next.timer.hold(true)
  }

  function onTimer(): void {
    next = undefined
    const now = clock.now()
    let earliest = Number.POSITIVE_INFINITY
    for (const item of items()) {
      const deadline = deadlineOf(item)
      if (deadline <= now) expire(item, now)
      else earliest = Math.min(earliest, deadline)
    }
    if (earliest < Number.POSITIVE_INFINITY) watch(earliest)
  }

  function end(): void {
    next?.timer.cancel()
    next = undefined
  }

  return { watch, rest: () => next?.timer.hold(false), end }
}

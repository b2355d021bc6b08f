/** Time as an interface, so that tests can move it by hand. */

export interface Timer {
  cancel(): void
  /** Keeps the process alive until the timer fires, while `hold` is true. */
  hold(hold: boolean): void
}

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number
  /** Calls back after `ms`; does not keep the process alive unless held. */
  after(ms: number, callback: () => void): Timer
}

/** Longest delay that setTimeout takes; more would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), MAX_TIMER_MS))
    timer.unref()
    return {
      cancel: () => clearTimeout(timer),
      hold: (hold) => void (hold ? timer.ref() : timer.unref()),
    }
  },
}

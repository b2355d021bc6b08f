/** Finds out from a second of a shared thread's work which of its models should have a thread of its own. Pure. */

import type { Meter } from './meters.ts'

/** Time between two looks at the thread's work. */
export const WINDOW_MS = 1000

/** Share of a thread's time from which models wait for each other often. */
const CROWDED = 0.6
/** So many long runs are no accident of a busy machine. */
const MOST_LONG_RUNS = 4

/** The work of one seat in the window. */
export interface Traffic extends Meter {
  readonly seat: number
}

export interface Departure {
  readonly seat: number
  /** Worded as the rest of a sentence about the model. */
  readonly reason: string
}

/** The seat that should leave; the others may have room enough then. */
export function whoLeaves(traffic: readonly Traffic[], windowMs: number): Departure | undefined {
  const slow = traffic.find(({ jobs, longRuns }) => longRuns > MOST_LONG_RUNS && 2 * longRuns > jobs)
  if (slow) return { seat: slow.seat, reason: 'its runs take longer than those of a small model' }
  const active = traffic.filter(({ jobs }) => jobs > 0)
  const busyMs = active.reduce((sum, seat) => sum + seat.busyMs, 0)
  if (active.length < 2 || busyMs < CROWDED * windowMs) return undefined
  const { seat, busyMs: ownMs } = active.reduce((busiest, each) => (each.busyMs > busiest.busyMs ? each : busiest))
  const share = Math.round((100 * ownMs) / windowMs)
  return { seat, reason: `it took ${share} % of the time of a thread that it shared with models under load` }
}

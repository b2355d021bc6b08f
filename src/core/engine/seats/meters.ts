/** The memory in which a shared thread notes its work, seat by seat, for its host to read at any time. */

/** Most sessions of one thread. */
export const MOST_SEATS = 64

/** A job that takes longer holds the others up. */
const LONG_MS = 2

const FIELDS = 3
const [BUSY_MS, JOBS, LONG_RUNS] = [0, 1, 2]

/** Sums that only grow, until the place is given to another. */
export interface Meter {
  /** Milliseconds of runs; loads are not counted. */
  readonly busyMs: number
  /** Messages that were worked on. */
  readonly jobs: number
  /** Messages of runs that took longer than a small model's. */
  readonly longRuns: number
}

export type Meters = Float64Array

export const newMeters = (): Meters => new Float64Array(new SharedArrayBuffer(8 * FIELDS * MOST_SEATS))

export function readMeter(meters: Meters, seat: number): Meter {
  const at = FIELDS * seat
  const field = (which: number): number => meters[at + which] as number
  return { busyMs: field(BUSY_MS), jobs: field(JOBS), longRuns: field(LONG_RUNS) }
}

export const resetMeter = (meters: Meters, seat: number): void => void meters.fill(0, FIELDS * seat, FIELDS * (seat + 1))

/** @param runMs of a message of runs; `undefined` for any other */
export function noteJob(meters: Meters, seat: number, runMs: number | undefined): void {
  const at = FIELDS * seat
  const add = (which: number, value: number): void => {
    meters[at + which] = (meters[at + which] as number) + value
  }
  add(JOBS, 1)
  if (runMs === undefined) return
  add(BUSY_MS, runMs)
  if (runMs > LONG_MS) add(LONG_RUNS, 1)
}

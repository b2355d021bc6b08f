/**
 * Sends waiting requests that fit into one run as two halves. As one run, all callers wait for it together, and the worker then waits for
 * all of them: for the answers to reach the host, for the host to give them out, and for the next requests to come. As halves, the worker
 * runs one while the host does that for the other. It is worth while where a half costs little more than half of the whole.
 */

import type { Curve } from './curve.ts'

export interface Halves {
  /**
   * A worker has answered.
   * @param beganAt when its first run began
   * @param tookMs all of its runs
   * @param waited for the message, with nothing to run
   */
  ran(worker: object, beganAt: number, tookMs: number, waited: boolean): void
  /** Whether a run of so many rows keeps the worker busy while the host gives out the answers of another, and costs less than that gains. */
  areEnough(rows: number, curve: Curve): boolean
}

/** Most of the pause that a further run may cost: it has a message of its own, too. */
const WORTH = 0.75
/** About ten answers decide. */
const LEARN = 0.1
/** One longer pause counts as no more than this many times the usual. */
const MOST = 3

export function createHalves({ isOff }: { readonly isOff: boolean }): Halves {
  const endedAt = new WeakMap<object, number>()
  /** From the end of a worker's runs to the next message, where that was sent in answer to them. Longer where little comes: nothing is split then. */
  let pauseMs: number | undefined

  function learn(ms: number): void {
    if (pauseMs === undefined) pauseMs = ms
    else pauseMs += LEARN * (Math.min(ms, MOST * pauseMs) - pauseMs)
  }

  return {
    ran(worker, beganAt, tookMs, waited) {
      const before = endedAt.get(worker)
      if (waited && before !== undefined && beganAt > before) learn(beganAt - before)
      endedAt.set(worker, beganAt + tookMs)
    },
    areEnough(rows, curve) {
      if (isOff || pauseMs === undefined || rows === 0) return false
      const ms = curve.estimate(rows)
      const twice = curve.estimate(2 * rows)
      return ms !== undefined && twice !== undefined && ms >= pauseMs && 2 * ms - twice < WORTH * pauseMs
    },
  }
}

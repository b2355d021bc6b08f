/** Times of spans: `performance.now()` as time of day. */

/** After a change of the system clock, `performance.timeOrigin` is off. */
const MAX_DRIFT_MS = 50
const RECHECK_MS = 1000

/** @returns milliseconds since 1970 for a time of `performance.now()` */
export function createWallClock(): (at: number) => number {
  let origin = performance.timeOrigin
  let checkAt = 0
  return (at) => {
    if (at >= checkAt) {
      checkAt = at + RECHECK_MS
      const actual = Date.now() - performance.now()
      if (Math.abs(actual - origin) > MAX_DRIFT_MS) origin = actual
    }
    return origin + at
  }
}

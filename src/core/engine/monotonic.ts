/** Converts between this thread's `performance.now()` and the one clock that all threads and processes of a machine share. */

function hrtimeAheadMs(): number {
  let [best, narrowest] = [0, Number.POSITIVE_INFINITY]
  // The first calls of a thread take a millisecond; the narrowest of a few is exact to a microsecond.
  for (let i = 0; i < 5; i++) {
    const before = performance.now()
    const hrtimeMs = Number(process.hrtime.bigint()) / 1e6
    const after = performance.now()
    if (after - before >= narrowest) continue
    narrowest = after - before
    best = hrtimeMs - (before + after) / 2
  }
  return best
}

/** How far `process.hrtime()` is ahead of this thread's `performance.now()`. */
export const HRTIME_AHEAD_MS = hrtimeAheadMs()

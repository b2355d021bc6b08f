/**
 * The cost of a run of n rows: t(n) = a + b*n, learned from observed runs. Exponentially weighted least squares adapt to a model
 * that becomes slower within some dozens of runs.
 */

export interface Curve {
  /** Learns from one run. */
  observe(rows: number, ms: number): void
  /** Expected milliseconds of a run of that many rows; `undefined` before the first observation. */
  estimate(rows: number): number | undefined
  /** Milliseconds that 99 of 100 such runs stay under, if deviations are normal. */
  upper(rows: number): number | undefined
  /** Milliseconds per run and per row, for people. */
  readonly fit: Line | undefined
  /** A curve that starts from this one and soon follows its own observations. */
  fork(): Curve
}

/** Most rows, up to `cap`, that a run is expected to finish within that time; at least one. */
export function rowsWithin({ fit }: Pick<Curve, 'fit'>, cap: number, ms: number): number {
  if (!fit || cap === 1 || fit.perRowMs === 0) return cap
  return Math.max(1, Math.min(cap, Math.floor((ms - fit.baseMs) / fit.perRowMs)))
}

/** Weight that earlier runs keep with each new one: about the last thirty count. */
const KEEP = 0.97
/** Weight of a fork's starting values, in runs. */
const INHERITED = 3
/** 99th percentile of the normal distribution. */
const Z99 = 2.33

/** Relative variance of sizes below which base and slope cannot be told apart. */
const MIN_SPREAD = 1e-3

export interface Line {
  readonly baseMs: number
  readonly perRowMs: number
}

interface Sums {
  w: number
  n: number
  nn: number
  t: number
  nt: number
  /** Squared relative error of the forecasts. */
  error: number
  shape?: Line
}

export function createCurve(from: Sums = { w: 0, n: 0, nn: 0, t: 0, nt: 0, error: 0 }): Curve {
  const sums = { ...from }

  /** The line from the time when sizes last differed enough to tell base from slope. */
  let shape: Line | undefined = from.shape
  /** Read on every request and every run, so the fit is recomputed only after a new observation. */
  let known = line()

  function line(): Line | undefined {
    const { w, n, nn, t, nt } = sums
    if (w === 0) return undefined
    const spread = w * nn - n * n
    if (spread > MIN_SPREAD * w * nn) {
      shape = fitted((w * nt - n * t) / spread)
      return shape
    }
    // One size only: its cost is known, and its division into base and slope is remembered.
    // Without a memory none of it is base cost, which would promise unproved gains.
    if (!shape) return { baseMs: 0, perRowMs: t / n }
    const factor = t / (shape.baseMs * w + shape.perRowMs * n)
    return { baseMs: shape.baseMs * factor, perRowMs: shape.perRowMs * factor }
  }

  function fitted(perRowMs: number): Line {
    const { w, n, t } = sums
    if (perRowMs <= 0) return { baseMs: t / w, perRowMs: 0 }
    const baseMs = (t - perRowMs * n) / w
    return baseMs >= 0 ? { baseMs, perRowMs } : { baseMs: 0, perRowMs: t / n }
  }

  function estimate(rows: number): number | undefined {
    return known && known.baseMs + known.perRowMs * rows
  }

  return {
    observe(rows, ms) {
      const forecast = estimate(rows)
      // Before the first runs the forecast is unknown; one hiccup must not count for more than a few times the usual.
      if (forecast !== undefined && forecast > 0 && sums.w > 2) {
        const relative = Math.min(3, Math.abs(ms - forecast) / forecast)
        sums.error = sums.error * KEEP + (1 - KEEP) * relative * relative
      }
      sums.w = sums.w * KEEP + 1
      sums.n = sums.n * KEEP + rows
      sums.nn = sums.nn * KEEP + rows * rows
      sums.t = sums.t * KEEP + ms
      sums.nt = sums.nt * KEEP + rows * ms
      known = line()
    },
    estimate,
    upper(rows) {
      const mean = estimate(rows)
      return mean && mean * (1 + Z99 * Math.sqrt(sums.error))
    },
    get fit() {
      return known
    },
    fork() {
      const { w, error } = sums
      const scale = w > 0 ? Math.min(1, INHERITED / w) : 0
      return createCurve({
        w: w * scale,
        n: sums.n * scale,
        nn: sums.nn * scale,
        t: sums.t * scale,
        nt: sums.nt * scale,
        error,
        shape: known,
      })
    },
  }
}

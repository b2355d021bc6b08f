/**
 * What a run of n rows costs: t(n) = a + b*n, learned from what was seen. Exponentially weighted least squares, so that a model which
 * becomes slower is believed after some dozens of runs.
 */

export interface Curve {
  /** Learns from one run. */
  observe(rows: number, ms: number): void
  /** Expected milliseconds of a run of that many rows; `undefined` before anything was seen. */
  estimate(rows: number): number | undefined
  /** Milliseconds per run and per row, for people. */
  readonly fit: { readonly baseMs: number; readonly perRowMs: number } | undefined
}

const KEEP = 0.97

export function createCurve(): Curve {
  let w = 0
  let sumN = 0
  let sumNN = 0
  let sumT = 0
  let sumNT = 0

  function line(): { baseMs: number; perRowMs: number } | undefined {
    if (w === 0) return undefined
    const spread = w * sumNN - sumN * sumN
    const mean = sumT / w
    // One size only: all that is known is the cost of that size. Taking it for pure base cost would promise gains nobody has seen.
    if (spread < 1e-9 * w * sumNN) return { baseMs: 0, perRowMs: sumT / sumN }
    const perRowMs = (w * sumNT - sumN * sumT) / spread
    if (perRowMs <= 0) return { baseMs: mean, perRowMs: 0 }
    const baseMs = (sumT - perRowMs * sumN) / w
    return baseMs >= 0 ? { baseMs, perRowMs } : { baseMs: 0, perRowMs: sumT / sumN }
  }

  return {
    observe(rows, ms) {
      w = w * KEEP + 1
      sumN = sumN * KEEP + rows
      sumNN = sumNN * KEEP + rows * rows
      sumT = sumT * KEEP + ms
      sumNT = sumNT * KEEP + rows * ms
    },
    estimate(rows) {
      const known = line()
      return known && known.baseMs + known.perRowMs * rows
    },
    get fit() {
      return line()
    },
  }
}

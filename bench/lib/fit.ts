/** The law behind batching: a run of n rows takes t(n) = a + b*n, a fixed part and a part per row. */

export interface Law {
  /** a: milliseconds of a run, however many rows it has. */
  readonly baseMs: number
  /** b: milliseconds of each row. */
  readonly perRowMs: number
}

/**
 * Least squares of the relative error, so that short runs count as much as long ones. Neither part is below zero.
 * @param runMs milliseconds by rows
 */
export function fit(runMs: ReadonlyMap<number, number>): Law {
  // Of (a + b*n - t) / t, with u = 1/t and v = n/t: minimal where a*uu + b*uv = u and a*uv + b*vv = v.
  let [uu, uv, vv, u, v] = [0, 0, 0, 0, 0]
  for (const [rows, ms] of runMs) {
    const [x, y] = [1 / ms, rows / ms]
    uu += x * x
    uv += x * y
    vv += y * y
    u += x
    v += y
  }
  const determinant = uu * vv - uv * uv
  const baseMs = (u * vv - v * uv) / determinant
  const perRowMs = (v * uu - u * uv) / determinant
  if (!(baseMs >= 0)) return { baseMs: 0, perRowMs: v / vv }
  if (!(perRowMs >= 0)) return { baseMs: u / uu, perRowMs: 0 }
  return { baseMs, perRowMs }
}

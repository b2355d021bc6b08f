/** When two answers of a model are the same. */

import type { Tensor } from '../types.ts'

/** Relative and absolute difference that counts as the same: kernels for several rows may sum in another order. */
const RELATIVE = 1e-3
const ABSOLUTE = 1e-5

/** True when two outputs agree: exactly for integers and strings, within a small tolerance for floats. */
export function sameWithin(a: Tensor, b: Tensor): boolean {
  if (a.type !== b.type || a.dims.length !== b.dims.length || a.dims.some((dim, i) => dim !== b.dims[i])) return false
  const isFloat = a.type === 'float32' || a.type === 'float64'
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [a.data[i], b.data[i]]
    if (Object.is(x, y) || x === y) continue
    if (a.type === 'float16' && Math.abs(Number(x) - Number(y)) <= 4) continue
    if (!isFloat) return false
    const [p, q] = [x as number, y as number]
    if (!(Math.abs(p - q) <= ABSOLUTE + RELATIVE * Math.max(Math.abs(p), Math.abs(q)))) return false
  }
  return true
}

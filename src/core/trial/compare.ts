/** Decides when two answers of a model are the same. */

import { codeOf, DTYPES, isFloat } from '../tensor/index.ts'
import type { Tensor } from '../tensor/types.ts'

/** Kernels for several rows may sum in another order: the permitted difference, as a share of the number itself. */
const RELATIVE = 1e-3
/** The same as a share of the largest number beside it, because cancelling sums are made of such numbers. */
const OF_LARGEST = 1e-5
/** Half precision is coarser than `RELATIVE`: additionally permits this many steps of its last bit. */
const HALF_STEPS = 4

/**
 * True if two outputs agree in type, dimensions and elements. Integers, booleans and strings must be equal. Floats may differ by `1e-3 *
 * |x| + 1e-5 * max(1, max|row|)`, where `max|row|` is the largest finite number of `alone`; NaN equals NaN.
 * @param alone the answer to a row by itself
 */
export function sameWithin(alone: Tensor, other: Tensor): boolean {
  if (alone.type !== other.type || !sameDims(alone.dims, other.dims) || alone.data.length !== other.data.length) return false
  if (!isFloat(alone.type)) return sameElements(alone.data, other.data)
  const steps = DTYPES[alone.type].kind === 'coded' ? HALF_STEPS : 0
  return sameFloats(alone.data as FloatData, other.data as FloatData, codeOf(alone.type).toNumber, steps)
}

const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i])

const sameElements = (a: Tensor['data'], b: Tensor['data']): boolean => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

type FloatData = Readonly<ArrayLike<number>>
function sameFloats(alone: FloatData, other: FloatData, read: (element: number) => number, steps: number): boolean {
  let largest = 1
  for (let i = 0; i < alone.length; i++) {
    const size = Math.abs(read(alone[i] as number))
    if (size > largest && size < Number.POSITIVE_INFINITY) largest = size
  }
  for (let i = 0; i < alone.length; i++) {
    const [a, b] = [alone[i] as number, other[i] as number]
    const [x, y] = [read(a), read(b)]
    if (Object.is(x, y) || x === y) continue
    // The tolerance of an infinite difference would be infinite.
    if (!Number.isFinite(x)) return false
    if (Math.abs(x - y) <= RELATIVE * Math.abs(x) + OF_LARGEST * largest) continue
    if (steps > 0 && Math.abs(a - b) <= steps) continue
    return false
  }
  return true
}

/** Inputs that take no missing values: their floats are numbers, each of them. */

import { isFiniteHalf } from './float16.ts'
import type { Tensor, ValueInfo } from './types.ts'

/** Index of the first element that is NaN or infinite; -1 where there is none, or the type has none. */
export function firstNonFinite({ type, data }: Tensor): number {
  switch (type) {
    case 'float32':
    case 'float64':
      return firstOf(data)
    case 'float16':
      return data.findIndex((bits) => !isFiniteHalf(bits))
    default:
      return -1
  }
}

/** A number less itself is 0; NaN and infinities less themselves are NaN. */
function firstOf(data: Float32Array | Float64Array): number {
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number
    if (value - value !== 0) return i
  }
  return -1
}

/** True for a tensor that an input does not take because of its setting `nonFinite`. */
export const isRefused = ({ nonFinite }: Pick<ValueInfo, 'nonFinite'>, tensor: Tensor): boolean =>
  nonFinite === 'reject' && firstNonFinite(tensor) !== -1

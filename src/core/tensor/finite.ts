/** Inputs that reject missing values: each of their floats must be a number. */

import { DTYPES, type KindArrays } from './dtypes.ts'
import type { Tensor, ValueInfo } from './types.ts'

/** Index of the first element that is NaN or infinite; -1 if there is none or the type has no such values. */
export function firstNonFinite({ type, data }: Tensor): number {
  const { kind, code } = DTYPES[type]
  if (kind === 'float') return firstOf(data as KindArrays['float'])
  return code ? (data as KindArrays['coded']).findIndex((bits) => !code.isFinite(bits)) : -1
}

/** A number minus itself is 0; NaN and infinities minus themselves are NaN. */
function firstOf(data: KindArrays['float']): number {
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number
    if (value - value !== 0) return i
  }
  return -1
}

/** True if the input's `nonFinite` setting refuses the tensor. */
export const isRefused = ({ nonFinite }: Pick<ValueInfo, 'nonFinite'>, tensor: Tensor): boolean =>
  nonFinite === 'reject' && firstNonFinite(tensor) !== -1

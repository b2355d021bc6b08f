/** Kinds of option values that are about tensors. */

import { integer, type Kind, list, oneOf } from '../options/kinds.ts'
import { DTYPES } from './dtypes.ts'
import type { DType } from './types.ts'

export const dtype = oneOf(...(Object.keys(DTYPES) as DType[]))

/** Sizes of a tensor; -1 for any. */
export const sizes: Kind<readonly number[]> = list(integer(-1, 2 ** 32 - 1), { max: 32, of: 'dimensions' })

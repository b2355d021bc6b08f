/** Memory for large tensors that is used again, lent by the worker that will run them. A taken array is written in full before any code reads it. */

import { DTYPES, type ElementArrays } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../tensor/types.ts'

type NumericArray = Exclude<Tensor['data'], readonly string[]>
type NumericConstructor<T> = { readonly BYTES_PER_ELEMENT: number } & (new (
  buffer: ArrayBuffer,
  byteOffset?: number,
  length?: number,
) => T)

export interface BufferPool {
  take<T extends NumericArray>(ofType: NumericConstructor<T>, length: number): T
}

/** Smaller tensors are cheap to copy, and to copy again when their run is packed. */
const LARGE_BYTES = 256 * 1024

/** An array of undefined content; `undefined` where it would be small, or there are no buffers. */
export function takeBuffer(
  buffers: BufferPool | undefined,
  type: Exclude<DType, 'string'>,
  count: number,
): ElementArrays[Exclude<DType, 'string'>] | undefined {
  const { bytes, array } = DTYPES[type]
  if (!buffers || count * bytes < LARGE_BYTES) return undefined
  return buffers.take(array as unknown as NumericConstructor<ElementArrays[Exclude<DType, 'string'>]>, count)
}

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
  lend<T extends NumericArray>(ofType: NumericConstructor<T>, length: number): T
}

/** Tensors up to this share blocks of memory. */
export const FEW_BYTES = 4 * 1024
/** A tensor that could be a view of the body: smaller ones are cheap to copy when their run is packed, and are copied then anyway. */
export const VIEW_BYTES = 64 * 1024

/**
 * An array of undefined content; `undefined` where there are no buffers.
 * @param least bytes below which there is none, too
 */
export function takeBuffer(
  buffers: BufferPool | undefined,
  type: Exclude<DType, 'string'>,
  count: number,
  least: number,
): ElementArrays[Exclude<DType, 'string'>] | undefined {
  const { bytes, array } = DTYPES[type]
  if (!buffers || count * bytes < least) return undefined
  return buffers.lend(array as unknown as NumericConstructor<ElementArrays[Exclude<DType, 'string'>]>, count)
}

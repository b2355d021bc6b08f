/** Memory for large tensors that is used again, lent by whoever will run them. What is taken is written in full before anybody sees it. */

import { DTYPES, type ElementArrays } from '../../tensor/index.ts'
import type { DType, Tensor } from '../../tensor/types.ts'

type NumericArray = Exclude<Tensor['data'], readonly string[]>
type NumericConstructor<T> = { readonly BYTES_PER_ELEMENT: number } & (new (
  buffer: ArrayBuffer,
  byteOffset?: number,
  length?: number,
) => T)

export interface Room {
  take<T extends NumericArray>(ofType: NumericConstructor<T>, length: number): T
}

/** Smaller tensors are cheap to copy, and to copy again when their run is packed. */
const LARGE_BYTES = 256 * 1024

/** An array of undefined content; `undefined` where it would be small, or nobody lends. */
export function takeRoom(
  room: Room | undefined,
  type: Exclude<DType, 'string'>,
  count: number,
): ElementArrays[Exclude<DType, 'string'>] | undefined {
  const { bytes, array } = DTYPES[type]
  if (!room || count * bytes < LARGE_BYTES) return undefined
  return room.take(array as unknown as NumericConstructor<ElementArrays[Exclude<DType, 'string'>]>, count)
}

/**
 * Cheap small arrays that share blocks of memory. A typed array with memory of its own costs several times the price of its bytes.
 * Use them only for tensors that stay inside the library: a view shows its neighbours through `.buffer`.
 */

import { allocate, DTYPES, type ElementArrays } from './dtypes.ts'
import type { DType, Tensor } from './types.ts'

type NumericData = Exclude<Tensor['data'], readonly string[]>
type NumericConstructor = new (buffer: ArrayBuffer, byteOffset: number, length: number) => NumericData

const BLOCK_BYTES = 64 * 1024
const SMALL_BYTES = 4 * 1024

let block = new ArrayBuffer(BLOCK_BYTES)
let used = 0

/** True for an array that shares a block. */
export const isSmall = (data: NumericData): boolean => data.byteLength <= SMALL_BYTES

export function copyOf(data: NumericData): NumericData {
  if (!isSmall(data)) return data.slice()
  const copy = take(data.constructor as NumericConstructor, data.length, data.byteLength)
  copy.set(data as never)
  return copy
}

/** Zeros, or empty strings, to be filled by the caller. */
export function allocateInside(type: DType, count: number): ElementArrays[DType] {
  const { array, bytes } = DTYPES[type]
  if (array === undefined || count * bytes > SMALL_BYTES) return allocate(type, count)
  return take(array as unknown as NumericConstructor, count, count * bytes) as ElementArrays[DType]
}

/** Never exposes earlier contents: each byte of a block is handed out once. */
function take(ArrayOf: NumericConstructor, length: number, bytes: number): NumericData {
  if (used + bytes > BLOCK_BYTES) {
    block = new ArrayBuffer(BLOCK_BYTES)
    used = 0
  }
  const elements = new ArrayOf(block, used, length)
  used = (used + bytes + 7) & ~7
  return elements
}

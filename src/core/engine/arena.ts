/**
 * Cheap copies of small arrays. A typed array with memory of its own costs several times what its bytes do, so small copies share a block.
 * Only for tensors that stay inside the library: a view shows its neighbours through `.buffer`.
 */

import type { Tensor } from '../types.ts'

type NumericData = Exclude<Tensor['data'], readonly string[]>

const BLOCK_BYTES = 64 * 1024
const SMALL_BYTES = 4 * 1024

let block = new ArrayBuffer(BLOCK_BYTES)
let used = 0

/** True for what shares a block. */
export const isSmall = (data: NumericData): boolean => data.byteLength <= SMALL_BYTES

/** Never shows what a block held before: each byte of it is given out once. */
export function copyOf(data: NumericData): NumericData {
  const bytes = data.byteLength
  if (!isSmall(data)) return data.slice()
  if (used + bytes > BLOCK_BYTES) {
    block = new ArrayBuffer(BLOCK_BYTES)
    used = 0
  }
  const ArrayOf = data.constructor as new (buffer: ArrayBuffer, byteOffset: number, length: number) => NumericData
  const copy = new ArrayOf(block, used, data.length)
  copy.set(data as never)
  used = (used + bytes + 7) & ~7
  return copy
}

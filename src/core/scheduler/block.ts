/** Copies a block out of a tensor: a range of rows, and of every other dimension the first so many. */

import { allocate } from '../tensor/index.ts'
import type { Tensor } from '../tensor/types.ts'
import { type NumericData, product } from './batch.ts'

/** Fewer elements are copied one by one: a view of them costs more. */
const FEW = 32

/**
 * @param dims sizes of the block
 * @param axis the dimension in which it begins at `from`; in all others it begins at 0
 * @returns fresh memory
 */
export function blockOf(tensor: Tensor, dims: readonly number[], axis: number, from: number): Tensor['data'] {
  const whole = tensor.dims
  // From this dimension on, the elements of the block are in one piece.
  let last = dims.length - 1
  while (last > 0 && dims[last] === whole[last]) last--
  const inner = product(whole, last + 1, whole.length)
  const run = (dims[last] as number) * inner
  const stride = (whole[last] as number) * inner
  const start = from * product(whole, axis + 1, whole.length)
  const count = product(dims, 0, last)
  const { data } = tensor
  if (count === 1) return data.slice(start, start + run)
  const out = allocate(tensor.type, count * run)
  const copy = tensor.type === 'string' || run < FEW ? copyEach : copyViews
  for (let i = 0; i < count; i++)
    copy(data as NumericData, start + placeOf(i, dims, whole, last) * stride, out as NumericData, i * run, run)
  return out
}

/** Counts the dimensions before `last` in `dims`, and gives the index among those of `whole`. */
function placeOf(index: number, dims: readonly number[], whole: readonly number[], last: number): number {
  let [place, rest, step] = [0, index, 1]
  for (let i = last - 1; i >= 0; i--) {
    const size = dims[i] as number
    place += (rest % size) * step
    rest = Math.floor(rest / size)
    step *= whole[i] as number
  }
  return place
}

function copyEach(from: NumericData, start: number, to: NumericData, at: number, count: number): void {
  for (let i = 0; i < count; i++) to[at + i] = from[start + i] as never
}

function copyViews(from: NumericData, start: number, to: NumericData, at: number, count: number): void {
  to.set(from.subarray(start, start + count) as never, at)
}

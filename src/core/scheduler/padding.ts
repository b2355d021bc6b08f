/** Lengthens and shortens tensors along one dimension. */

import { allocate, toElement } from '../tensor/index.ts'
import type { Tensor } from '../tensor/types.ts'
import { cut, type NumericData, product } from './batch.ts'

/** The tensor with `size` instead of its own size along `axis`, padded with `fill`. Fresh memory. */
export function lengthen(tensor: Tensor, axis: number, size: number, fill: number): Tensor {
  const own = tensor.dims[axis] as number
  if (own === size) return tensor
  const dims = tensor.dims.map((dim, i) => (i === axis ? size : dim))
  const outer = product(dims, 0, axis)
  const inner = product(dims, axis + 1, dims.length)
  const [chunk, room] = [own * inner, size * inner]
  if (tensor.type === 'string') {
    const data = allocate('string', outer * room)
    for (let o = 0; o < outer; o++) for (let i = 0; i < chunk; i++) data[o * room + i] = tensor.data[o * chunk + i] as string
    return { type: 'string', dims, data }
  }
  const data = allocate(tensor.type, outer * room) as NumericData
  if (fill !== 0) data.fill(toElement(tensor.type, fill) as never)
  for (let o = 0; o < outer; o++) data.set(tensor.data.subarray(o * chunk, (o + 1) * chunk) as never, o * room)
  return { type: tensor.type, dims, data } as Tensor
}

/** The first `size` along `axis`. Fresh memory, unless nothing is cut off. */
export function shorten(tensor: Tensor, axis: number, size: number): Tensor {
  const own = tensor.dims[axis] as number
  if (own === size) return tensor
  const outer = product(tensor.dims, 0, axis)
  const inner = product(tensor.dims, axis + 1, tensor.dims.length)
  const dims = tensor.dims.map((dim, i) => (i === axis ? size : dim))
  return { type: tensor.type, dims, data: cut(tensor.data, outer, own * inner, 0, size * inner) } as Tensor
}

/** True if all elements are the same. */
export function filled(type: Exclude<Tensor['type'], 'string'>, dims: readonly number[], value: number): Tensor {
  const data = allocate(type, product(dims, 0, dims.length)) as NumericData
  return { type, dims, data: data.fill(toElement(type, value) as never) } as Tensor
}

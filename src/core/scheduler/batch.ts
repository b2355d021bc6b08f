/** Joins the inputs of several requests into one run and cuts the outputs apart again. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { TensorRecord } from '../engine/frame.ts'
import type { Tensor } from '../tensor/types.ts'

/** Per tensor name, the dimension that counts rows. */
export type BatchAxes = Readonly<Record<string, number>>

type NumericTensor = Exclude<Tensor, { type: 'string' }>
export type NumericData = NumericTensor['data']

/** Elements of the dimensions from `from` up to `to`. */
export const product = (dims: readonly number[], from: number, to: number): number => {
  let n = 1
  for (let i = from; i < to; i++) n *= dims[i] as number
  return n
}

/** One dimension of a tensor. They come in lists, because `for in` is slow on objects without a prototype. */
export interface NamedAxis {
  readonly name: string
  readonly axis: number
}

export const axesIn = (axes: BatchAxes): readonly NamedAxis[] =>
  Object.keys(axes).map((name) => ({ name, axis: axes[name] as number }))

/** The common size of all those dimensions: the rows of a request, or their length. `undefined` when they do not agree. */
export function sizeAlong(tensors: TensorRecord, axes: readonly NamedAxis[]): number | undefined {
  let size: number | undefined
  for (let i = 0; i < axes.length; i++) {
    const { name, axis } = axes[i] as NamedAxis
    const own = tensors[name]?.dims[axis]
    if (own === undefined || (size !== undefined && own !== size)) return undefined
    size = own
  }
  return size
}

export const rowsOf = (inputs: TensorRecord, axes: BatchAxes): number | undefined => sizeAlong(inputs, axesIn(axes))

/**
 * Joins tensors along their axes. All requests must have the same types and, apart from the axes, the same shapes. Shares no memory with
 * them.
 * @param buffers source of the joined tensors' memory. @default fresh
 */
export function concat(requests: readonly TensorRecord[], axes: BatchAxes, buffers?: BufferPool): TensorRecord {
  const joined: Record<string, Tensor> = Object.create(null)
  for (const name in axes) joined[name] = concatTensors(partsOf(requests, name), axes[name] as number, buffers)
  return joined
}

export const partsOf = (requests: readonly TensorRecord[], name: string): readonly Tensor[] =>
  requests.map((inputs) => inputs[name] as Tensor)

export function concatTensors(parts: readonly Tensor[], axis: number, buffers: BufferPool | undefined): Tensor {
  const [first] = parts as readonly [Tensor]
  let total = 0
  for (const part of parts) total += part.dims[axis] as number
  const dims = first.dims.map((dim, i) => (i === axis ? total : dim))
  const outer = product(dims, 0, axis)
  const inner = product(dims, axis + 1, dims.length)
  if (first.type === 'string') {
    const data: string[] = []
    for (let o = 0; o < outer; o++)
      for (const part of parts as readonly Extract<Tensor, { type: 'string' }>[]) {
        const chunk = (part.dims[axis] as number) * inner
        for (let i = o * chunk; i < (o + 1) * chunk; i++) data.push(part.data[i] as string)
      }
    return { type: 'string', dims, data }
  }
  const ArrayOf = first.data.constructor as Parameters<BufferPool['take']>[0] & (new (length: number) => NumericData)
  const length = outer * total * inner
  // The parts fill all of it, so that no earlier content shows through.
  const data = buffers ? buffers.take(ArrayOf, length) : new ArrayOf(length)
  let at = 0
  for (let o = 0; o < outer; o++) {
    for (const part of parts as readonly NumericTensor[]) {
      const chunk = (part.dims[axis] as number) * inner
      // Along the first axis a part is contiguous, and making a view of it would only cost time.
      data.set((outer === 1 ? part.data : part.data.subarray(o * chunk, (o + 1) * chunk)) as never, at)
      at += chunk
    }
  }
  return { type: first.type, dims, data } as Tensor
}

/**
 * Cuts outputs into the rows of each request. Every piece owns its memory: a view would keep the whole batch alive and expose its
 * neighbours' rows.
 * @returns `undefined` if an output lacks the rows that went in
 */
export function split(outputs: TensorRecord, rows: readonly number[], axes: BatchAxes): Record<string, Tensor>[] | undefined {
  const total = rows.reduce((sum, n) => sum + n, 0)
  const pieces = rows.map((): Record<string, Tensor> => Object.create(null))
  for (const name in outputs) {
    const whole = outputs[name] as Tensor
    const axis = axes[name]
    if (axis === undefined || whole.dims[axis] !== total) return undefined
    const outer = product(whole.dims, 0, axis)
    const inner = product(whole.dims, axis + 1, whole.dims.length)
    let from = 0
    for (let index = 0; index < rows.length; index++) {
      const count = rows[index] as number
      const piece = pieces[index] as Record<string, Tensor>
      const dims = whole.dims.map((dim, i) => (i === axis ? count : dim))
      piece[name] = { type: whole.type, dims, data: cut(whole.data, outer, total * inner, from * inner, count * inner) } as Tensor
      from += count
    }
  }
  return pieces
}

/** From each of `outer` stretches of `stride` elements, `length` of them from `offset`. */
export function cut<T extends Tensor['data']>(
  data: T,
  outer: number,
  stride: number,
  offset: number,
  length: number,
): Tensor['data'] {
  if (outer === 1) return data.slice(offset, offset + length)
  if (!ArrayBuffer.isView(data)) {
    const strings: string[] = []
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < length; i++) strings.push((data as readonly string[])[o * stride + offset + i] as string)
    return strings
  }
  const ArrayOf = data.constructor as new (length: number) => NumericData
  const out = new ArrayOf(outer * length)
  for (let o = 0; o < outer; o++) out.set(data.subarray(o * stride + offset, o * stride + offset + length) as never, o * length)
  return out
}

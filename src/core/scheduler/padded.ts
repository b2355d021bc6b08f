/** Joins rows of different lengths, each padded to the longest, and cuts the outputs back. Each element is copied once. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { TensorRecord } from '../engine/frame.ts'
import { toElement } from '../tensor/index.ts'
import type { Tensor } from '../tensor/types.ts'
import { type BatchAxes, concatTensors, type NamedAxis, type NumericData, partsOf, product } from './batch.ts'
import { blockOf } from './block.ts'
import { lengthen } from './padding.ts'

/** The dimensions of each tensor that have the row's length; most have one, attention weights two. */
export type RaggedAxes = Readonly<Record<string, readonly number[]>>

/** All of them. */
export const axesInEach = (axes: RaggedAxes): readonly NamedAxis[] =>
  Object.keys(axes).flatMap((name) => (axes[name] ?? []).map((axis) => ({ name, axis })))

interface Axes {
  readonly rows: BatchAxes
  readonly lengths: RaggedAxes
}

interface Filling extends Axes {
  /** The value of the padding, by input. */
  readonly fills: Readonly<Record<string, number>>
}

/** @param goal the length to which all of them are padded */
export function joinPadded(
  requests: readonly TensorRecord[],
  goal: number,
  { rows, lengths, fills }: Filling,
  buffers: BufferPool | undefined,
): TensorRecord {
  const joined: Record<string, Tensor> = Object.create(null)
  for (const name in rows) {
    const own = lengths[name]
    const parts = partsOf(requests, name)
    joined[name] = own
      ? joinOne(parts, { rowAxis: rows[name] as number, own, goal, fill: fills[name] ?? 0 }, buffers)
      : concatTensors(parts, rows[name] as number, buffers)
  }
  return joined
}

interface OneFilling {
  readonly rowAxis: number
  readonly own: readonly number[]
  readonly goal: number
  readonly fill: number
}

function joinOne(parts: readonly Tensor[], filling: OneFilling, buffers: BufferPool | undefined): Tensor {
  const { rowAxis, own, goal, fill } = filling
  const [axis = 0] = own
  // The usual layout: rows first, and one length in each.
  if (rowAxis === 0 && own.length === 1 && parts[0]?.type !== 'string')
    return joinRows(parts as readonly NumericTensor[], axis, goal, fill, buffers)
  const longer = parts.map((part) => own.reduce((tensor, at) => lengthen(tensor, at, goal, fill), part))
  return concatTensors(longer, rowAxis, buffers)
}

type NumericTensor = Exclude<Tensor, { readonly type: 'string' }>

function joinRows(
  parts: readonly NumericTensor[],
  axis: number,
  goal: number,
  fill: number,
  buffers: BufferPool | undefined,
): Tensor {
  const { type, dims: firstDims, data: firstData } = parts[0] as NumericTensor
  let total = 0
  for (const { dims } of parts) total += dims[0] as number
  const dims = firstDims.map((dim, i) => (i === 0 ? total : i === axis ? goal : dim))
  const between = product(dims, 1, axis)
  const inner = product(dims, axis + 1, dims.length)
  const room = goal * inner
  const ArrayOf = firstData.constructor as Parameters<BufferPool['take']>[0] & (new (length: number) => NumericData)
  const length = total * between * room
  const data = buffers ? buffers.take(ArrayOf, length) : new ArrayOf(length)
  const filling = toElement(type, fill) as never
  let at = 0
  for (const part of parts) {
    const chunk = (part.dims[axis] as number) * inner
    const chunks = (part.dims[0] as number) * between
    for (let i = 0; i < chunks; i++) {
      // A view of all of it would only cost time.
      data.set((chunks === 1 ? part.data : part.data.subarray(i * chunk, (i + 1) * chunk)) as never, at)
      // Always: reused memory holds earlier elements.
      if (chunk < room) data.fill(filling, at + chunk, at + room)
      at += room
    }
  }
  return { type, dims, data } as Tensor
}

interface Padded {
  readonly goal: number
  /** The length of each request. */
  readonly lengths: readonly number[]
}

/**
 * The rows of each request in their own length, in memory of their own.
 * @param rows of each request
 * @returns `undefined` if an output lacks the rows or the length that went in
 */
export function splitPadded(
  outputs: TensorRecord,
  rows: readonly number[],
  { goal, lengths }: Padded,
  axes: Axes,
): Record<string, Tensor>[] | undefined {
  let total = 0
  for (const count of rows) total += count
  const pieces = rows.map((): Record<string, Tensor> => Object.create(null))
  for (const name in outputs) {
    const whole = outputs[name] as Tensor
    const axis = axes.rows[name]
    if (axis === undefined || whole.dims[axis] !== total) return undefined
    const own = axes.lengths[name] ?? NONE
    if (own.some((at) => whole.dims[at] !== goal)) return undefined
    let from = 0
    for (let index = 0; index < rows.length; index++) {
      const count = rows[index] as number
      const dims = whole.dims.map((dim, i) => (i === axis ? count : own.includes(i) ? (lengths[index] as number) : dim))
      const piece = pieces[index] as Record<string, Tensor>
      piece[name] = { type: whole.type, dims, data: blockOf(whole, dims, axis, from) } as Tensor
      from += count
    }
  }
  return pieces
}

const NONE: readonly number[] = []

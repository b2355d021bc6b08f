/** Joins requests into the inputs of one run, without sharing their memory. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { TensorRecord } from '../engine/frame.ts'
import type { Tensor } from '../tensor/types.ts'
import type { ModelAxes } from './axes.ts'
import { concat } from './batch.ts'

/** The batched inputs joined, and the shared ones of the first. Shares no memory with the requests, which may have to run again. */
export function join(requests: readonly TensorRecord[], axes: ModelAxes, buffers?: BufferPool): TensorRecord {
  return { ...concat(requests, axes.inputs, buffers), ...copySome(requests[0] ?? {}, axes.shared, buffers) }
}

/** Copies of the existing tensors. */
export function copySome(inputs: TensorRecord, names: readonly string[], buffers?: BufferPool): TensorRecord {
  const copies: Record<string, Tensor> = Object.create(null)
  for (const name of names) {
    const tensor = inputs[name]
    if (!tensor) continue
    const data = tensor.type === 'string' ? tensor.data : buffers ? buffers.copy(tensor.data) : tensor.data.slice()
    copies[name] = { ...tensor, data } as Tensor
  }
  return copies
}

/** For runs that must not share memory: large tensors are given away with the message. */
export function copyAll(inputs: TensorRecord): TensorRecord {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
  ) as TensorRecord
}

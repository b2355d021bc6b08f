/** Results that the cache keeps: its own copies, which nobody else ever sees, and what they weigh. */

import type { Tensor } from '../tensor/types.ts'

export type Outputs = Readonly<Record<string, Tensor>>

export interface Kept {
  readonly outputs: Outputs
  /** Estimate of the memory that the entry takes, its key included. */
  readonly bytes: number
  /** When it was computed, on the cache's clock. */
  readonly at: number
}

/** What an entry costs besides its elements (key, list nodes, objects); measured on Node 20: about 600 and 350 bytes. */
const ENTRY_BYTES = 640
const TENSOR_BYTES = 384
/** A JavaScript string beside its characters: header and pointer. */
const STRING_BYTES = 32

export function bytesOf(outputs: Outputs): number {
  let bytes = ENTRY_BYTES
  for (const name in outputs) {
    const tensor = outputs[name]
    if (tensor) bytes += TENSOR_BYTES + 2 * name.length + dataBytes(tensor)
  }
  return bytes
}

export function dataBytes({ type, data }: Tensor): number {
  if (type !== 'string') return data.byteLength
  let bytes = 0
  for (const element of data) bytes += STRING_BYTES + 2 * element.length
  return bytes
}

/** Copies the outputs with memory of their own, in the order of `names`. */
export function copyOutputs(outputs: Outputs, names: readonly string[]): Record<string, Tensor> {
  const copies: Record<string, Tensor> = Object.create(null)
  for (const name of names) {
    const tensor = outputs[name]
    if (tensor) copies[name] = { type: tensor.type, dims: [...tensor.dims], data: tensor.data.slice() } as Tensor
  }
  return copies
}

export const keep = (outputs: Outputs, at: number): Kept => ({
  outputs: copyOutputs(outputs, Object.keys(outputs)),
  bytes: bytesOf(outputs),
  at,
})

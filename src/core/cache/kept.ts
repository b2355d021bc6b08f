/** Results that the cache keeps: private copies, and their estimated size. */

import type { Tensor } from '../tensor/types.ts'

export type Outputs = Readonly<Record<string, Tensor>>

export interface Kept {
  readonly outputs: Outputs
  /** Estimated memory of the entry, its key included. */
  readonly bytes: number
  /** Time of its computation, on the cache's clock. */
  readonly at: number
}

/** Cost of an entry besides its elements (key, list nodes, objects); measured on Node 20: about 600 and 350 bytes. */
const ENTRY_BYTES = 640
const TENSOR_BYTES = 384
/** Cost of a JavaScript string besides its characters: header and pointer. */
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

/** Copies the outputs into memory of their own, in the order of `names`. */
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

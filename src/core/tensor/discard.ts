/**
 * Memory of large results, freed as soon as nobody needs it. Left to the garbage collector, results of half a megabyte make V8 collect its
 * whole heap every few dozen of them: what arrays hold outside of the heap counts towards its limit.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Tensor } from '../types.ts'

/** Freeing takes some microseconds; below this, collecting takes less. */
const LARGE_BYTES = 256 * 1024

type Transferable = ArrayBuffer & { transfer?(byteLength: number): ArrayBuffer }

/**
 * Frees the large tensors that are alone in their buffers. Whoever still has one finds an array of length 0, never what the memory holds next.
 */
export function discard(tensors: Readonly<Record<string, Tensor>>): void {
  const large: ArrayBufferView[] = []
  for (const name of Object.keys(tensors)) {
    const tensor = tensors[name]
    if (tensor && tensor.type !== 'string' && tensor.data.byteLength >= LARGE_BYTES) large.push(tensor.data)
  }
  free(large)
}

/** The same for arrays of any size. */
export function free(arrays: readonly ArrayBufferView[]): void {
  const buffers = new Set<Transferable>()
  for (const { buffer, byteLength } of arrays)
    if (byteLength > 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffers.add(buffer)
  if (buffers.size === 0) return
  if (canTransfer) for (const buffer of buffers) buffer.transfer?.(0)
  // structuredClone() does the same ten times slower.
  else toNobody().postMessage(undefined, [...buffers])
}

/** From Node 21 on. */
const canTransfer = 'transfer' in ArrayBuffer.prototype

let nobody: MessagePort | undefined

/** A closed port: what is transferred to it is gone. */
function toNobody(): MessagePort {
  if (nobody) return nobody
  nobody = new MessageChannel().port1
  nobody.close()
  return nobody
}

/**
 * Memory of large results, freed as soon as nobody needs it. Left to the garbage collector, results of half a megabyte make V8 collect its
 * whole heap every few dozen of them: what arrays hold outside of the heap counts towards its limit.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Tensor } from './types.ts'

/** Freeing takes some microseconds; below this, collecting takes less. */
const LARGE_BYTES = 256 * 1024

type Transferable = ArrayBuffer & { transfer?(byteLength: number): ArrayBuffer }

/**
 * Frees the large tensors that are alone in their buffers. Whoever still has one finds an array of length 0, never what the memory holds next.
 */
export function discard(tensors: Readonly<Record<string, Tensor>>): void {
  const large: ArrayBufferLike[] = []
  for (const name of Object.keys(tensors)) {
    const tensor = tensors[name]
    if (!tensor || tensor.type === 'string') continue
    const { buffer, byteLength } = tensor.data
    if (byteLength >= LARGE_BYTES && byteLength === buffer.byteLength) large.push(buffer)
  }
  free(new Set(large))
}

/** Frees those of the buffers, if they are large together, that no tensor is a view of. */
export function freeUnused(buffers: readonly ArrayBufferLike[], tensors: Readonly<Record<string, Tensor>>): void {
  if (buffers.reduce((sum, { byteLength }) => sum + byteLength, 0) < LARGE_BYTES) return
  const unused = new Set(buffers)
  for (const tensor of Object.values(tensors)) if (tensor.type !== 'string') unused.delete(tensor.data.buffer)
  free(unused)
}

function free(buffers: ReadonlySet<ArrayBufferLike>): void {
  const own = [...buffers].filter((buffer): buffer is Transferable => buffer instanceof ArrayBuffer && buffer.byteLength > 0)
  if (own.length === 0) return
  if (canTransfer) for (const buffer of own) buffer.transfer?.(0)
  // structuredClone() does the same ten times slower.
  else toNobody().postMessage(undefined, own)
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

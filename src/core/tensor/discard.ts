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
  for (const name of Object.keys(tensors)) {
    const tensor = tensors[name]
    if (!tensor || tensor.type === 'string') continue
    const { buffer, byteLength } = tensor.data
    if (byteLength >= LARGE_BYTES && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) free(buffer)
  }
}

function free(buffer: Transferable): void {
  if (buffer.transfer) buffer.transfer(0)
  // Before Node 21. structuredClone() does the same ten times slower.
  else toNobody().postMessage(undefined, [buffer])
}

let nobody: MessagePort | undefined

/** A closed port: what is transferred to it is gone. */
function toNobody(): MessagePort {
  if (nobody) return nobody
  nobody = new MessageChannel().port1
  nobody.close()
  return nobody
}

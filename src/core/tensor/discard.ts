/**
 * Frees the memory of large results as soon as their last reader is done.
 * V8 counts array memory outside the heap towards its limit: half-megabyte results left to it trigger a full collection every few
 * dozen.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Tensor } from './types.ts'

/** Freeing takes 1 to 4 us. A collection of the whole heap takes 4 to 30 ms, and is due about every 15 MB: 30 us for this size. */
const LARGE_BYTES = 64 * 1024

type Transferable = ArrayBuffer & { transfer?(byteLength: number): ArrayBuffer }

/**
 * Frees large tensors that are alone in their buffers. A remaining reference finds an array of length 0, never the memory's next
 * contents.
 */
export function discard(tensors: Readonly<Record<string, Tensor>>): void {
  let large: Set<ArrayBufferLike> | undefined
  for (const name of Object.keys(tensors)) {
    const tensor = tensors[name]
    if (!tensor || tensor.type === 'string') continue
    const { byteLength } = tensor.data
    // Few results are large. V8 makes the buffer of a small one when it is asked for, in a microsecond.
    if (byteLength < LARGE_BYTES) continue
    const { buffer } = tensor.data
    if (byteLength !== buffer.byteLength) continue
    large ??= new Set()
    large.add(buffer)
  }
  if (large) free(large)
}

/** Frees the buffers that no tensor views, if they are large together. */
export function freeUnused(buffers: readonly ArrayBufferLike[], tensors: Readonly<Record<string, Tensor>>): void {
  let bytes = 0
  for (const { byteLength } of buffers) bytes += byteLength
  if (bytes < LARGE_BYTES) return
  const unused = new Set(buffers)
  for (const tensor of Object.values(tensors)) if (tensor.type !== 'string') unused.delete(tensor.data.buffer)
  free(unused)
}

function free(buffers: ReadonlySet<ArrayBufferLike>): void {
  const own: Transferable[] = []
  for (const buffer of buffers) if (buffer instanceof ArrayBuffer && buffer.byteLength > 0) own.push(buffer)
  if (own.length === 0) return
  if (canTransfer) for (const buffer of own) buffer.transfer?.(0)
  // structuredClone() does the same ten times slower.
  else toNobody().postMessage(undefined, own)
}

/** Available from Node 21 on. */
const canTransfer = 'transfer' in ArrayBuffer.prototype

let nobody: MessagePort | undefined

/** A closed port: anything transferred to it is freed. */
function toNobody(): MessagePort {
  if (nobody) return nobody
  nobody = new MessageChannel().port1
  nobody.close()
  return nobody
}

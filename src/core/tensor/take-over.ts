/** Takes the memory of another owner's array over, without a copy: its arrays are left with length 0, as after `postMessage()`. */

import threads from 'node:worker_threads'

type Transferable = ArrayBuffer & { transfer?(): ArrayBuffer }

/** From Node 21 on. */
type Marks = { isMarkedAsUntransferable?(value: object): boolean }

/**
 * True where nothing else is in the memory of that array: giving it away takes no other bytes along. Memory that is shared, or that may
 * change its size, is not given away.
 */
export function isWhole({ buffer, byteLength }: ArrayBufferView): boolean {
  if (!(buffer instanceof ArrayBuffer) || byteLength !== buffer.byteLength || byteLength === 0) return false
  return (buffer as { readonly resizable?: boolean }).resizable !== true
}

/** @returns the same bytes in a buffer of our own; `undefined` for one that may not be given away, such as a WebAssembly memory */
export function takeOver(buffer: ArrayBuffer): ArrayBuffer | undefined {
  try {
    if ((threads as Marks).isMarkedAsUntransferable?.(buffer)) return undefined
    // structuredClone() does the same in 4 us.
    return (buffer as Transferable).transfer?.() ?? structuredClone(buffer, { transfer: [buffer] })
  } catch {
    return undefined
  }
}

/** True for memory that was given away. Only Node 21 and newer have a property for it. */
export function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

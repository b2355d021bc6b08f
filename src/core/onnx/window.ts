/** The bytes of a file that are in memory. The window moves over the file, forwards or back. */

import { Malformed } from './malformed.ts'
import type { Source } from './source.ts'

const WINDOW_BYTES = 64 * 1024

export interface Window {
  /** True if the next `count` bytes are not all here, as far as the file has them. The next `refill` fetches that many. */
  lacks(position: number, count: number): boolean
  /** The byte at a position of the file; 0 outside the window. */
  at(position: number): number
  /** A view of bytes that are here, valid until the window moves. */
  view(from: number, to: number): Uint8Array
  /** Moves to `position`. */
  refill(source: Source, position: number): Promise<void>
}

/** @param size of the file */
export function createWindow(size: number): Window {
  let bytes: Uint8Array = new Uint8Array(0)
  let start = 0
  let wanted = 0
  return {
    lacks(position, count) {
      wanted = Math.min(count, size - position)
      return position < start || position + wanted > start + bytes.length
    },
    at: (position) => bytes[position - start] ?? 0,
    view: (from, to) => bytes.subarray(from - start, to - start),
    async refill(source, position) {
      bytes = await source.read(position, Math.max(wanted, WINDOW_BYTES))
      start = position
      if (bytes.length < wanted) throw new Malformed('the file became shorter while it was read')
    },
  }
}

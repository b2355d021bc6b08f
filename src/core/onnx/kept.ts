/** Counts the memory that one model makes the reader keep. */

import { Malformed } from './malformed.ts'

/** Most memory for the items of one model. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024
/** Cost of a kept item besides its characters. */
const OVERHEAD_BYTES = 64

/** @returns a function that counts an item of so many bytes, and throws `Malformed` for too many of them */
export function createKept(): (bytes: number) => void {
  let kept = 0
  return (bytes) => {
    kept += bytes + OVERHEAD_BYTES
    if (kept > MAX_KEPT_BYTES)
      throw new Malformed(`its names, shapes, documentation and metadata take more than ${MAX_KEPT_BYTES} bytes`)
  }
}

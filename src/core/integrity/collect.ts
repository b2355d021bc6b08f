/** Collects one stream in one piece of memory, with its SHA-256. */

import { createHash } from 'node:crypto'

export interface Collected {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** In hex. */
  readonly sha256: string
}

/** @param maxBytes untouched pages cost nothing */
export function collect(maxBytes: number): { add(piece: Uint8Array): undefined; end(): Collected } {
  const bytes = new Uint8Array(maxBytes)
  const hash = createHash('sha256')
  let length = 0
  return {
    add(piece) {
      hash.update(piece)
      bytes.set(piece, length)
      length += piece.length
    },
    end: () => ({ bytes: bytes.subarray(0, length), sha256: hash.digest('hex') }),
  }
}

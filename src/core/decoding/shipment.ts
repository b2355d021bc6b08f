/** Ships bodies to the decoding thread: buffers without another owner are given away, others are copied a slice at a time. */

import { setImmediate } from 'node:timers/promises'
import { tellWork } from '../host/turns.ts'
import type { Body } from './body.ts'

/** Copied between two turns of the event loop. */
const SLICE_BYTES = 256 * 1024

export interface Shipment {
  readonly pieces: readonly Uint8Array[]
  readonly transfer: ArrayBuffer[]
}

/** @param isWanted false once no caller waits for it; the rest is then not copied */
export async function shipmentOf({ body, moreChunks = [], given = [] }: Body, isWanted: () => boolean): Promise<Shipment> {
  const owned = new Set(given)
  const pieces: Uint8Array[] = []
  let copied = 0
  for (const piece of [body as Uint8Array, ...moreChunks]) {
    if (isAlone(piece) && owned.has(piece.buffer)) {
      pieces.push(piece)
      continue
    }
    for (let at = 0; at < piece.byteLength && isWanted(); at += SLICE_BYTES) {
      // Not slice(): of a Buffer it is a view.
      const copy = new Uint8Array(piece.subarray(at, at + SLICE_BYTES))
      pieces.push(copy)
      copied += copy.byteLength
      if (copied < SLICE_BYTES) continue
      tellWork(copied)
      copied = 0
      await setImmediate()
    }
  }
  tellWork(copied)
  return { pieces, transfer: [...new Set(pieces.map(({ buffer }) => buffer as ArrayBuffer))] }
}

const isAlone = ({ buffer, byteLength }: Uint8Array): boolean => buffer instanceof ArrayBuffer && buffer.byteLength === byteLength

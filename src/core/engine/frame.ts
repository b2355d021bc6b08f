/** Tensor maps in a message, by their own names, for all that host and worker exchange besides runs. */

import type { Tensor } from '../tensor/types.ts'
import type { LendingBufferPool } from './buffer-pool.ts'
import { MAPS, type Packet, type TensorRecord } from './wire/format.ts'
import { NO_NAMES } from './wire/names.ts'
import { mapOf, read } from './wire/read.ts'
import { createWriter } from './wire/write.ts'

export type { TensorRecord } from './wire/format.ts'

/** Tensor maps in the format of messages. */
export type Frame = Packet

/**
 * Packs tensor maps. Large tensors that are alone in their buffer are given away with `transfer`: the caller must not use them afterwards
 * if it passes that list to `postMessage`.
 * @param pool copies tensors that share their buffer, and gets back its loans; without one, copies are fresh memory
 */
export function pack(
  maps: readonly TensorRecord[],
  pool?: LendingBufferPool,
): { readonly frame: Frame; readonly transfer: ArrayBuffer[] } {
  const writer = createWriter(pool)
  for (const map of maps) {
    const keys = Object.keys(map)
    writer.run(0, '', [], NO_NAMES, keys.length)
    for (const key of keys) writer.tensor(key, NO_NAMES, map[key] as Tensor)
  }
  const { packet, transfer } = writer.end({ kind: MAPS, session: 0, id: 0, count: maps.length })
  return { frame: packet, transfer }
}

/**
 * Unpacks a frame into null-prototype maps.
 * @param opts.share views on the message, for a reader that drops them soon; else each tensor owns its memory
 */
export function unpack(frame: Frame, opts: { readonly share: boolean }): TensorRecord[] {
  const received = read(frame)
  return Array.from({ length: received.count }, () => mapOf(received.next(NO_NAMES, NO_NAMES), opts))
}

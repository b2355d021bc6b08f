/** Memory of instances: estimated from the weights, and measured if each has a process of its own. */

import type { Isolation, MemoryInfo } from './types.ts'

/** ONNX Runtime keeps weights twice while it packs them for its kernels, and most of that stays. */
const PACKED = 2
const MIB = 1024 * 1024
/** A worker with a tiny model: V8, the binding, the session. */
const BARE_BYTES: Readonly<Record<Isolation, number>> = { thread: 16 * MIB, process: 48 * MIB }
/**
 * Private memory of an instance that maps its weights. ONNX Runtime still packs them, only to find them packed, and malloc keeps that
 * memory. glibc keeps up to the size of a thread's heap, which is this large; children get tighter bounds.
 */
const MOST_KEPT_BYTES: Readonly<Record<Isolation, number>> = { thread: 64 * MIB, process: 12 * MIB }

/** How an instance holds its weights: a plain copy, one more packed for the kernels, or both in a file that all instances map. */
export type Holding = 'raw' | 'packed' | 'mapped'

/**
 * @param weightBytes of the file and of its external data
 * @param bareBytes with a tiny model
 */
export function guessFootprint(
  weightBytes: number,
  isolation: Isolation,
  holding: Holding,
  bareBytes: number = BARE_BYTES[isolation],
): MemoryInfo {
  const own = {
    raw: weightBytes,
    packed: weightBytes * PACKED,
    mapped: Math.min(weightBytes, MOST_KEPT_BYTES[isolation]),
  }[holding]
  return {
    perInstanceBytes: bareBytes + own,
    sharedBytes: sharedBytes(weightBytes, holding),
    basis: 'weights',
  }
}

/** A run touches each weight either plain or packed, so a file that holds both costs about one of them. */
export const sharedBytes = (weightBytes: number, holding: Holding): number => (holding === 'mapped' ? weightBytes : 0)

/** A tiny session in a thread that is there already. */
const SEAT_BYTES = MIB / 2

/** One of several sessions that share a thread: its part of that thread, and itself. @param seats of a thread, that one included */
export const seatBytes = (seats: number): number => SEAT_BYTES + Math.ceil(BARE_BYTES.thread / seats)

/** The largest private memory of any instance; `undefined` if none can be measured. */
export function measurePrivateBytes(instances: readonly { readonly memoryBytes: number | undefined }[]): number | undefined {
  const measured = instances.flatMap(({ memoryBytes }) => memoryBytes ?? [])
  return measured.length > 0 ? Math.max(...measured) : undefined
}

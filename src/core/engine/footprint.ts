/** How much memory instances take: guessed from the weights, and measured where a process of its own makes that possible. */

import type { Isolation, MemoryInfo } from './types.ts'

/** ONNX Runtime keeps weights twice while it packs them for its kernels, and most of that stays (reference: onnxruntime-node.md, 6.2.1). */
const PACKED = 2
const MIB = 1024 * 1024
/** A worker with a tiny model: V8, the binding, the session. */
const BARE_BYTES: Readonly<Record<Isolation, number>> = { thread: 16 * MIB, process: 48 * MIB }
/**
 * What an instance has of its own though it maps its weights: memory in which ONNX Runtime packs them, only to find them packed already, and
 * which malloc keeps when that is freed. glibc keeps up to a heap of a thread, which is this large; children get tighter bounds.
 */
const MOST_KEPT_BYTES: Readonly<Record<Isolation, number>> = { thread: 64 * MIB, process: 12 * MIB }

/** How an instance holds its weights: a copy as they are, one more packed for the kernels, or both in a file that all instances map. */
export type Holding = 'raw' | 'packed' | 'mapped'

/** @param weightBytes of the file and of its external data */
export function guessFootprint(weightBytes: number, isolation: Isolation, holding: Holding): MemoryInfo {
  const own = {
    raw: weightBytes,
    packed: weightBytes * PACKED,
    mapped: Math.min(weightBytes, MOST_KEPT_BYTES[isolation]),
  }[holding]
  return {
    perInstanceBytes: BARE_BYTES[isolation] + own,
    sharedBytes: sharedBytes(weightBytes, holding),
    basis: 'weights',
  }
}

/** A run touches each weight either as it is or packed, so that a file that holds both costs about one of them. */
export const sharedBytes = (weightBytes: number, holding: Holding): number => (holding === 'mapped' ? weightBytes : 0)

/** The largest private memory of any instance; `undefined` where none can be measured. */
export function measurePrivateBytes(instances: readonly { readonly memoryBytes: number | undefined }[]): number | undefined {
  const measured = instances.flatMap(({ memoryBytes }) => memoryBytes ?? [])
  return measured.length > 0 ? Math.max(...measured) : undefined
}

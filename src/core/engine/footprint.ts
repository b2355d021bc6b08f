/** How much memory an instance takes: guessed from its weights, and measured where a process of its own makes that possible. */

import type { Isolation } from '../types.ts'

/** ONNX Runtime keeps weights twice while it packs them for its kernels, and most of that stays (reference: onnxruntime-node.md, 6.2.1). */
const PACKED = 2
const MIB = 1024 * 1024
/** A worker with a tiny model: V8, the binding, the session. */
const BARE_BYTES: Readonly<Record<Isolation, number>> = { thread: 16 * MIB, process: 48 * MIB }

export interface Footprint {
  readonly perInstanceBytes: number
  /** `weights`: reckoned from the size of the weights; `measured`: private memory of the largest child. */
  readonly basis: 'weights' | 'measured'
}

/** @param weightBytes of the file and of its external data */
export const guessFootprint = (weightBytes: number, isolation: Isolation, packs: boolean): Footprint => ({
  perInstanceBytes: BARE_BYTES[isolation] + weightBytes * (packs ? PACKED : 1),
  basis: 'weights',
})

/** The largest of what instances were measured at; `undefined` where none can be measured. */
export function measureFootprint(instances: readonly { readonly memoryBytes: number | undefined }[]): Footprint | undefined {
  const measured = instances.flatMap(({ memoryBytes }) => memoryBytes ?? [])
  return measured.length > 0 ? { perInstanceBytes: Math.max(...measured), basis: 'measured' } : undefined
}

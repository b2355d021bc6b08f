/** The possible numbers of rows of a run. */

import type { TensorRecord } from '../engine/frame.ts'

/** Sizes at which the cost is measured. */
const STEPS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
/** The sizes that a run may have, ascending. @param row one of its rows */
export function sizesFor(row: TensorRecord, bounds: { readonly maxSize: number; readonly maxElements: number }): number[] {
  const elements = Object.values(row).reduce((sum, { data }) => sum + data.length, 0)
  return [1, ...STEPS.filter((step) => step <= bounds.maxSize && step * elements <= bounds.maxElements)]
}

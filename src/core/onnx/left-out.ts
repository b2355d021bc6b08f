/** The reason why an output is not served, and the remedy for its author. */

import type { LeftOutput, ValueInfo } from '../tensor/types.ts'
import { shown } from './shown.ts'

/** Keyed by the start of the type that the file declares. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/^seq\(map\(/, 'export the model with zipmap=False'],
  [/^map\(/, 'let it end with the values as a tensor'],
  [/^seq\(/, 'let it end with ConcatFromSequence, or give each tensor an output of its own'],
  [/^optional\(/, 'let it end with OptionalGetElement'],
  [/^sparse_tensor\(/, 'let it end with a dense tensor'],
  [/^tensor\((u?int[24])\)/, 'let it end with a Cast to an integer of 8 bits'],
  [/^tensor\(complex/, 'give its real and its imaginary part as two outputs'],
  [/^tensor\(/, 'let it end with a Cast to float'],
]
const OTHERWISE = 'let it end with a tensor of a common type'

/** @param why further details, worded as the rest of a sentence */
export function leftOut({ name, declaredType }: Pick<ValueInfo, 'name' | 'declaredType'>, why?: string): LeftOutput {
  const type = shown(declaredType)
  const remedy = REMEDIES.find(([types]) => types.test(declaredType))?.[1] ?? OTHERWISE
  return {
    name,
    declaredType,
    reason: `it is ${type}, which onnxruntime-node cannot carry${why === undefined ? '' : ` (${why})`}: ${remedy}`,
  }
}

/** A caller's inputs made ours: checked, and copied where they are still the caller's own memory. */

import { copyOf } from './engine/arena.ts'
import { isModelmountError, ModelmountError } from './errors.ts'
import { checkInputs } from './tensor/index.ts'
import type { ModelSignature, PredictInputs, Tensor } from './types.ts'

/** @throws ModelmountError `INPUT_INVALID` */
export function ownInputs(
  signature: ModelSignature,
  inputs: PredictInputs,
  limits: { readonly maxElements: number },
): Record<string, Tensor> {
  try {
    return snapshot(checkInputs(signature, inputs, limits), inputs)
  } catch (error) {
    if (isModelmountError(error)) throw error
    // A getter or proxy of the caller's that throws.
    throw new ModelmountError('INPUT_INVALID', 'the inputs could not be read', { cause: error })
  }
}

/** Copies what is still the caller's own memory: a caller may reuse its array as soon as `predict()` has returned its promise. */
function snapshot(tensors: Record<string, Tensor>, inputs: PredictInputs): Record<string, Tensor> {
  for (const name of Object.keys(tensors)) {
    const tensor = tensors[name]
    if (!tensor || tensor.type === 'string') continue
    const given = inputs[name]
    const theirs = ArrayBuffer.isView(given) ? given : typeof given === 'object' && 'data' in given ? given.data : undefined
    if (ArrayBuffer.isView(theirs) && theirs.buffer === tensor.data.buffer)
      tensors[name] = { ...tensor, data: copyOf(tensor.data) } as Tensor
  }
  return tensors
}

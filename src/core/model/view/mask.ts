/** A model whose requests may leave a mask out: one that says that nothing was filled up is made for them. */

import type { Ragged } from '../../scheduler/ragged.ts'
import type { ModelSignature } from '../../tensor/types.ts'
import type { View } from './view.ts'

/** @param ragged the rows of different lengths that the mask is for */
export const maskView = (graph: ModelSignature, { mask, complete }: Ragged): View => ({
  signature: { ...graph, inputs: graph.inputs.map((input) => (input.name === mask ? { ...input, optional: true } : input)) },
  // Whether or not requests share runs.
  down: complete,
  up: undefined,
})

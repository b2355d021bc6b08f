/** A model with state as requests see it: the server fills in what a sequence carries on. */

import type { SequenceCall, SequencePlan } from '../../sequences/index.ts'
import type { ModelSignature } from '../../tensor/types.ts'
import type { View } from './view.ts'

/** A sequence of one request, as samples are. */
const ONE_SHOT: SequenceCall = { id: 1, start: true, end: true }

/** For inputs that belong to no sequence: each begins one that ends with it. */
export const stateView = (below: ModelSignature, { visible, fresh, controls }: SequencePlan): View => ({
  signature: { ...below, ...visible },
  down: (inputs) => ({ ...inputs, ...fresh(inputs), ...controls(inputs, ONE_SHOT) }),
  up: undefined,
})

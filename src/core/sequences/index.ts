/**
 * State that a model hands from one request of a sequence to the next (Triton's implicit state). It travels as inputs and outputs like any other,
 * so that requests of different sequences share runs.
 */

export { type SequenceCall, sequenceKey } from './call.ts'
export type { SequenceSettings } from './options.ts'
export { planSequences, type SequencePlan } from './plan.ts'
export { createSequences, type Sequences } from './turns.ts'

/**
 * State that a model passes from one request of a sequence to the next (Triton's implicit state).
 * It travels as ordinary inputs and outputs, so that requests of different sequences share runs.
 */

export { type SequenceCall, sequenceKey } from './call.ts'
export type { SequenceSettings } from './options.ts'
export { planSequences, type SequencePlan } from './plan.ts'
export { createSequences, type Sequences } from './sequence-queue.ts'

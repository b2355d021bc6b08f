/** State that lives from request to request. */

export type { SequenceControl, SequenceOptions, SequencePlace, SequenceState } from './options.ts'

/** The open sequences of one model version. */
export interface SequencesInfo {
  readonly open: number
  /** Bytes of their state. */
  readonly bytes: number
  /** Requests that wait for earlier ones of their sequence. */
  readonly waiting: number
  readonly idleTimeoutMs: number
  readonly maxSequences: number
  readonly maxBytes: number
}

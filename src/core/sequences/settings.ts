/** What is declared of a model's sequences, every default decided. */

import type { SequenceControl, SequenceState } from './types.ts'

export interface SequenceSettings {
  /** By name of the input. */
  readonly state: ReadonlyMap<string, SequenceState>
  /** By name of the input. */
  readonly controls: ReadonlyMap<string, SequenceControl>
  readonly idleTimeoutMs: number
  readonly maxSequences: number
  /** Of one named tenant. */
  readonly maxPerTenant: number
  readonly maxBytes: number
}
